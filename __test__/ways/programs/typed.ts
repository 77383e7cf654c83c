// The program under ts-node: what plain Node would not run.
const program: string = './served.js';
require(program);
