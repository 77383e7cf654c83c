/**
 * `node -r rust-cluster/register app.js`, or `import 'rust-cluster/register'` before all else:
 * `require('cluster')` is this package's cluster, for the program and all that it loads. Fails as the first
 * `require('rust-cluster')` does.
 *
 * @since rust-cluster 0.1.0
 */
export {};
