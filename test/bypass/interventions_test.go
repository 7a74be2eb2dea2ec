package bypass

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// The webhooks that judge who reaches into a pod.
const (
	interveneHook = "intervene.admission.entrustment.dev"
	ephemeralHook = "ephemeralcontainers.admission.entrustment.dev"
)

// interventionVectors are N6 and fact 13: what goes through the kubelet or the API server into a pod.
var interventionVectors = func() []vector {
	ways := []struct{ what, kind, sub string }{
		{"run a command in", "pods", "exec"}, {"attach to", "pods", "attach"}, {"forward a port of", "pods", "portforward"}, {"talk through the API server to", "pods", "proxy"},
	}
	var all []vector
	for i, way := range ways {
		all = append(all,
			vector{fmt.Sprintf("N6.%02d %s a pod of the store", i+1, way.what), editor, connects("data", way.kind, "orders-1", way.sub), hook(interveneHook, "intervene"), shown(webhookMissing)},
			vector{fmt.Sprintf("N6.%02d %s a declaring pod", i+11, way.what), editor, connects("biller", way.kind, "declaring", way.sub), hook(interveneHook, "intervene"), shown(webhookMissing)},
			vector{fmt.Sprintf("N6.%02d %s a pod of the store, as the namespace's administrator", i+21, way.what), boss, connects("data", way.kind, "orders-1", way.sub), hook(interveneHook, "intervene"), shown(webhookMissing)},
			vector{fmt.Sprintf("P9.%02d %s a pod of the store, in an emergency", i+31, way.what), rescuer, connects("data", way.kind, "orders-1", way.sub), hook(interveneHook, ""), admitted},
			vector{fmt.Sprintf("P9.%02d %s a declaring pod, in an emergency", i+41, way.what), rescuer, connects("biller", way.kind, "declaring", way.sub), hook(interveneHook, ""), admitted},
			vector{fmt.Sprintf("P9.%02d %s an ordinary pod of a namespace of nobody", i+51, way.what), editor, connects("unbound", way.kind, "ordinary", way.sub), unseen, admitted})
	}
	return append(all,
		vector{"N6.30 talk through the API server to the store's Service", editor, connects("data", "services", "orders", "proxy"), hook(interveneHook, "intervene"), shown(webhookMissing)},
		vector{"N6.31 run a command in a pod of the store, as a node", node, connects("data", "pods", "orders-1", "exec"), unseen, forbidden},
	)
}()

// connects opens a connection; there is no node at its other end, and it is the API server that says so once it is let.
func connects(namespace, kind, name, sub string) []try {
	var tries []try
	for _, verb := range []string{http.MethodPost, http.MethodGet} {
		tries = append(tries, try{verb, func(ctx context.Context, s session) error {
			request := s.core.Verb(verb).Namespace(namespace).Resource(kind).Name(name).SubResource(sub)
			switch sub {
			case "exec":
				request.Param("command", "sh").Param("stdout", "true")
			case "attach":
				request.Param("stdout", "true")
			case "portforward":
				request.Param("ports", "5432")
			}
			err := request.Do(ctx).Error()
			for _, far := range []string{"does not have a host assigned", "no endpoints available", "address not allowed", "pod IP"} {
				if err != nil && strings.Contains(err.Error(), far) {
					return nil
				}
			}
			return err
		}})
	}
	return tries
}
