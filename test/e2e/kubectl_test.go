package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
)

// kubectl runs it with the suite's KUBECONFIG, and returns all that it printed.
func kubectl(ctx context.Context, stdin string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", arguments...)
	cmd.Stdin = strings.NewReader(stdin)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}
