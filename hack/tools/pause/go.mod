module github.com/gatewaytelemetry/gateway-telemetry-operator/hack/tools/pause

go 1.26
