package controllers

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"entrustment.dev/operator/internal/secrets"
)

// secretAccess returns watches of Secrets, and a client that writes them. The manager's own cache knows none: it would have
// to list them in the whole cluster.
func secretAccess(mgr manager.Manager) (*secrets.Watches, client.Client, error) {
	options := client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()}
	reader, err := client.NewWithWatch(mgr.GetConfig(), options)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client that watches Secrets: %w", err)
	}
	watches := secrets.New(reader)
	options.Cache = &client.CacheOptions{Reader: watches}
	writer, err := client.New(mgr.GetConfig(), options)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client that writes Secrets: %w", err)
	}
	return watches, writer, nil
}
