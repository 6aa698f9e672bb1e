// Command go-sdk-program is a program as users write it: OpenTelemetry's Go SDK, configured by its environment alone.
//
// It writes one trace with a prompt, prints the id of its root span, and exits 1 when the export failed.
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// deadline bounds the export, retries included.
const deadline = 30 * time.Second

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(prompt string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	// The SDK reports a failed export to the error handler only.
	var failed atomic.Value
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failed.Store(err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	_, span := provider.Tracer("go-sdk-program").Start(ctx, "ask")
	span.SetAttributes(
		attribute.String("gen_ai.operation.name", "chat"),
		attribute.String("gen_ai.prompt.0.role", "user"),
		attribute.String("gen_ai.prompt.0.content", prompt),
	)
	id := span.SpanContext().SpanID()
	span.End()
	if err := provider.Shutdown(ctx); err != nil {
		return err
	}
	if err, ok := failed.Load().(error); ok {
		return err
	}
	fmt.Println(id)
	return nil
}
