// Writes one trace (a root span and, below it, a chat span) with OpenTelemetry's own exporter.
//
// Everything comes from the standard OTEL_* variables, as in a gateway: endpoint, headers, certificate, resource.
// OTEL_EXPORTER_OTLP_TRACES_PROTOCOL picks the package (http/protobuf or http/json), which is what auto-instrumentation
// does with it. Prints one JSON line with the ids; exits 1 when the export failed.
import { context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, detectResources, envDetector } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const protocols = { "http/protobuf": ProtobufExporter, "http/json": JsonExporter };
const protocol = process.env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? "http/protobuf";
if (!(protocol in protocols)) {
  throw new Error(`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: ${protocol} is not one of ${Object.keys(protocols)}`);
}

const exporter = new protocols[protocol]();
const exportSpans = exporter.export.bind(exporter);
let failure;
exporter.export = (spans, done) =>
  exportSpans(spans, (result) => {
    if (result.code !== 0) failure = result.error ?? new Error("export failed");
    done(result);
  });

const provider = new NodeTracerProvider({
  resource: defaultResource().merge(detectResources({ detectors: [envDetector] })),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();

const tracer = trace.getTracer("node-exporter");
const root = tracer.startSpan("node root", { attributes: { "langsmith.metadata.nonce": process.env.NONCE ?? "" } });
const child = tracer.startSpan(
  "node child",
  {
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.prompt.0.role": "user",
      "gen_ai.prompt.0.content": "héllo",
      "gen_ai.usage.input_tokens": 3,
      "gen_ai.usage.output_tokens": 4,
    },
  },
  trace.setSpan(context.active(), root),
);
child.end();
root.end();

try {
  await provider.forceFlush();
} catch (error) {
  failure ??= error;
}
await provider.shutdown();
if (failure) {
  console.error(`export failed: ${failure.code ?? ""} ${failure.message}`);
  process.exitCode = 1;
} else {
  const ids = [root, child].map((span) => span.spanContext());
  console.log(JSON.stringify({ traceId: ids[0].traceId, rootSpanId: ids[0].spanId, childSpanId: ids[1].spanId }));
}
