// What a TypeScript program does with a supervisor.

import type { ReloadError, Report, SuperviseOptions, Supervisor } from 'rust-cluster/supervisor';
import { supervise } from 'rust-cluster/supervisor';

const options: SuperviseOptions = {
  exec: 'app.js',
  workers: 'auto',
  drain: '25s',
  maxMemory: 512,
  watch: ['lib'],
  dispatch: { proxyProtocol: ['10.0.0.0/8'], ports: { 8000: 'round-robin' } },
  sticky: { cookie: 'sid' },
};
const supervisor: Supervisor = supervise(options);
supervise(async () => options);

supervisor.on('report', (report: Report) => console.log(report.event, report.slot?.toFixed(), report.why));
supervisor.reload().then(
  ({ replaced }) => replaced.toFixed(),
  (error: ReloadError) => error.lines.join(),
);
supervisor.scale(2).then(({ workers }) => workers.toFixed());
export const code: Promise<number> = supervisor.stop();
export const states: string[] = supervisor.status().workers.map(({ state, since }) => `${state} ${since}`);

// @ts-expect-error: there is no such option
supervise({ exec: 'app.js', drian: 1 });
// @ts-expect-error: without a program
supervise({ workers: 1 });
