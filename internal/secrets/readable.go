package secrets

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The right to read a namespace is a RoleBinding that was written a moment ago. The API server honours it within
// milliseconds, an informer that was refused once tries again after a second.
var patience = wait.Backoff{Duration: 20 * time.Millisecond, Factor: 1.5, Jitter: 0.1, Steps: 24, Cap: 10 * time.Second}

// untilReadable returns when the Secrets can be listed, or when it is for the informer to go on trying.
func (w *Watches) untilReadable(ctx context.Context, selection *client.ListOptions) {
	probe := *selection
	probe.Limit = 1
	// Why it does not succeed is told by the informer.
	_ = wait.ExponentialBackoffWithContext(ctx, patience, func(ctx context.Context) (bool, error) {
		return w.client.List(ctx, &corev1.SecretList{}, &probe) == nil, nil
	})
}
