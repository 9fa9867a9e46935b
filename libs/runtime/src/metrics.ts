// Prometheus metrics of one process: an own registry (nothing global, so that tests and several apps
// in one process do not meet by accident), names that all begin with `gatehouse_`, and the standard
// process metrics under their standard names.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export interface MetricOptions {
  /** Without the prefix, in snake_case, unit last: `rpc_call_seconds`. */
  readonly name: string;
  readonly help: string;
  /** Label names; their values must come from a small closed set. */
  readonly labels?: readonly string[];
}

export interface Metrics {
  readonly registry: Registry;
  /** The counter of that name, made at its first mention. */
  counter(options: MetricOptions): Counter;
  gauge(options: MetricOptions & { readonly collect?: (gauge: Gauge) => void | Promise<void> }): Gauge;
  histogram(options: MetricOptions & { readonly buckets?: readonly number[] }): Histogram;
}

const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Makes the metrics of a process; `service` becomes a label on every series. */
export function createMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  const common = ({ name, help, labels = [] }: MetricOptions) => ({
    name: `gatehouse_${name}`,
    help,
    labelNames: [...labels],
    registers: [registry],
  });
  return {
    registry,
    counter: (options) => existing(registry, options, Counter) ?? new Counter(common(options)),
    gauge: (options) => existing(registry, options, Gauge) ?? newGauge(common(options), options.collect),
    histogram: (options) =>
      existing(registry, options, Histogram) ??
      new Histogram({ ...common(options), buckets: [...(options.buckets ?? SECONDS_BUCKETS)] }),
  };
}

type GaugeSettings = ConstructorParameters<typeof Gauge>[0];

function newGauge(settings: GaugeSettings, collect?: (gauge: Gauge) => void | Promise<void>): Gauge {
  if (collect === undefined) return new Gauge(settings);
  const gauge: Gauge = new Gauge({ ...settings, collect: () => collect(gauge) });
  return gauge;
}

function existing<T extends object>(
  registry: Registry,
  { name }: MetricOptions,
  kind: abstract new (...args: never[]) => T,
): T | null {
  const metric: unknown = registry.getSingleMetric(`gatehouse_${name}`);
  if (metric === undefined) return null;
  if (metric instanceof kind) return metric;
  throw new TypeError(`metric gatehouse_${name} already exists as another kind than ${kind.name}`);
}
