// Numbers for people. What is not known is a dash.

const UNKNOWN = '\u2013';
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

const known = write => value =>
  typeof value === 'number' && Number.isFinite(value) ? write(value) : UNKNOWN;

export const count = known(value => (Math.abs(value) < 100 ? short : whole).format(value));

/** Seconds, as short as they are. */
export const duration = known(value => {
  if (value === 0) return '0 s';
  if (value < 1e-6) return '<1 \u00b5s';
  if (value < 1e-3) return `${short.format(value * 1e6)} \u00b5s`;
  return value < 1 ? `${short.format(value * 1e3)} ms` : `${short.format(value)} s`;
});

/** Seconds that have gone by. */
export const age = known(value => {
  const [seconds, minutes, hours] = [1, 60, 3600].map(unit => Math.floor(Math.max(0, value) / unit));
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
});

export const bytes = known(value => {
  const unit = ['B', 'KiB', 'MiB', 'GiB'].findLast((_, power) => value >= 1024 ** power || power === 0);
  return `${short.format(value / 1024 ** ['B', 'KiB', 'MiB', 'GiB'].indexOf(unit))} ${unit}`;
});

export const percent = known(value => `${short.format(Math.round(value * 1000) / 10)}%`);

/** What has come from elsewhere, as text. */
export const text = value => (value === null || value === undefined ? UNKNOWN : String(value));
