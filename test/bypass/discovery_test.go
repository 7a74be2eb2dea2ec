package bypass

import (
	"context"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/discovery"
)

// classified is what stands between each resource that can be written and a store. A resource of a new version of the
// API server has to be looked at before it is added.
var classified = map[string]string{
	// Pods, and what makes or moves them.
	"pods":                     "guarded by grants, grace, purposeless, labels, confinement, secrets, granted-secrets, readers, store-pods, store-volumes, store-confinement; shown to the webhook",
	"pods/attach":              "shown to the webhook, intervene",
	"pods/binding":             "guarded by labels-bindings and store-pods",
	"pods/ephemeralcontainers": "guarded by labels, confinement, secrets and store-confinement",
	"pods/eviction":            "guarded by grace-evictions: it ends a pod",
	"pods/exec":                "shown to the webhook, intervene",
	"pods/portforward":         "shown to the webhook, intervene",
	"pods/proxy":               "shown to the webhook, intervene",
	"pods/resize":              "guarded by labels; the API server takes nothing of it but resources",
	"pods/status":              "guarded by labels and confinement, store-pods",
	"bindings":                 "guarded by labels-bindings and store-pods",
	"podtemplates":             "guarded by store-pods and store-volumes",
	"replicationcontrollers":   "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"apps/daemonsets":          "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"apps/deployments":         "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"apps/replicasets":         "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"apps/statefulsets":        "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"apps/controllerrevisions": "harmless: what a DaemonSet or a StatefulSet makes of it is a pod, and judged",
	"batch/cronjobs":           "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",
	"batch/jobs":               "guarded by store-pods and store-volumes; warned about by the webhook; its pods are judged",

	"replicationcontrollers/scale": "harmless: more pods of a template, each judged", "replicationcontrollers/status": counted,
	"apps/deployments/scale": "harmless: more pods of a template, each judged", "apps/deployments/status": counted,
	"apps/replicasets/scale": "harmless: more pods of a template, each judged", "apps/replicasets/status": counted,
	"apps/statefulsets/scale": "harmless: more pods of a template, each judged", "apps/statefulsets/status": counted,
	"apps/daemonsets/status": counted, "batch/cronjobs/status": counted, "batch/jobs/status": counted,
	"autoscaling/horizontalpodautoscalers": "harmless: more pods of a template, each judged", "autoscaling/horizontalpodautoscalers/status": counted,

	// What is written in words of ours.
	"entrustment.dev/purposes":                  "guarded by finalizers, entrust, in-use and by its definition",
	"entrustment.dev/purposes/status":           "guarded by status",
	"entrustment.dev/dataprocessors":            "guarded by finalizers, namespaces, in-use and by its definition",
	"entrustment.dev/dataprocessors/status":     "guarded by status",
	"entrustment.dev/entrustments":              "guarded by finalizers, entrust and by its definition; shown to the webhook",
	"entrustment.dev/entrustments/status":       "guarded by status",
	"entrustment.dev/personaldatastores":        "guarded by finalizers, entrust, credentials, in-use and by its definition",
	"entrustment.dev/personaldatastores/status": "guarded by status",
	"entrustment.dev/personaldataaccesses":      "guarded by managed and finalizers",

	// Networks.
	"networking.k8s.io/networkpolicies":     "guarded by managed, stores, store-policies and egress-policies",
	"networking.k8s.io/ingresses":           "guarded by store-routes",
	"networking.k8s.io/ingresses/status":    counted,
	"networking.k8s.io/ingressclasses":      "harmless: who serves an Ingress; none leads to a store",
	"networking.k8s.io/ipaddresses":         "harmless: addresses of Services, which lead where their endpoints are",
	"networking.k8s.io/servicecidrs":        "harmless: addresses of Services, which lead where their endpoints are",
	"networking.k8s.io/servicecidrs/status": counted,
	"services":                              "guarded by store-routes",
	"services/proxy":                        "shown to the webhook, intervene",
	"services/status":                       "harmless: the address of a load balancer, which store-routes keeps from stores",
	"endpoints":                             "guarded by store-routes; shown to the webhook",
	"discovery.k8s.io/endpointslices":       "guarded by store-routes; shown to the webhook",

	// Secrets, and who reads them.
	"secrets":                                                 "guarded by managed; references are guarded by secrets and granted-secrets",
	"rbac.authorization.k8s.io/rolebindings":                  "guarded by managed and secret-access; who can read a credential is listed in the store's status",
	"rbac.authorization.k8s.io/roles":                         "guarded by managed; who can read a credential is listed in the store's status",
	"rbac.authorization.k8s.io/clusterroles":                  "posture: who can read a credential is listed in the store's status",
	"rbac.authorization.k8s.io/clusterrolebindings":           "guarded by secret-access; who can read a credential is listed in the store's status",
	"serviceaccounts":                                         "guarded by grants, purposeless and labels as to what it declares; imagePullSecrets of it are put into the pod before the rules see it",
	"serviceaccounts/token":                                   "posture: who can mint a token of a reader is listed in the store's status; who can mint the operator's is the operator",
	"configmaps":                                              "harmless: no credential is delivered by it",
	"certificates.k8s.io/certificatesigningrequests":          "posture: who approves them makes identities",
	"certificates.k8s.io/certificatesigningrequests/approval": "posture: who approves them makes identities",
	"certificates.k8s.io/certificatesigningrequests/status":   "posture: who signs them makes identities",
	"certificates.k8s.io/clustertrustbundles":                 "harmless: whom pods trust, not who reaches them",
	"certificates.k8s.io/podcertificaterequests":              "harmless: an identity of the pod it is for",
	"certificates.k8s.io/podcertificaterequests/status":       "harmless: an identity of the pod it is for",
	"authentication.k8s.io/selfsubjectreviews":                asked,
	"authentication.k8s.io/tokenreviews":                      asked,
	"authorization.k8s.io/localsubjectaccessreviews":          asked,
	"authorization.k8s.io/selfsubjectaccessreviews":           asked,
	"authorization.k8s.io/selfsubjectrulesreviews":            asked,
	"authorization.k8s.io/subjectaccessreviews":               asked,

	// Volumes.
	"persistentvolumeclaims":        "guarded by store-volumes",
	"persistentvolumeclaims/status": counted,
	"persistentvolumes":             "posture: who makes volumes can point one at a store's disk",
	"persistentvolumes/status":      counted,
	"storage.k8s.io/csidrivers":     "posture: whoever runs the storage holds the disks", "storage.k8s.io/csinodes": "posture: whoever runs the storage holds the disks",
	"storage.k8s.io/csinodes/status":          counted,
	"storage.k8s.io/csistoragecapacities":     "harmless: where a volume fits",
	"storage.k8s.io/storageclasses":           "posture: whoever runs the storage holds the disks",
	"storage.k8s.io/volumeattachments":        "posture: whoever runs the storage holds the disks",
	"storage.k8s.io/volumeattachments/status": counted,
	"storage.k8s.io/volumeattributesclasses":  "harmless: how fast a volume is",

	// The operator's installation.
	"admissionregistration.k8s.io/mutatingwebhookconfigurations":      "guarded by installation; those of others come before the rules, which judge what they leave",
	"admissionregistration.k8s.io/validatingwebhookconfigurations":    "guarded by installation",
	"admissionregistration.k8s.io/mutatingadmissionpolicies":          "harmless: they come before the rules, which judge what they leave",
	"admissionregistration.k8s.io/mutatingadmissionpolicybindings":    "harmless: they come before the rules, which judge what they leave",
	"admissionregistration.k8s.io/validatingadmissionpolicies":        "posture: put back at once, and told by an event",
	"admissionregistration.k8s.io/validatingadmissionpolicybindings":  "posture: put back at once, and told by an event",
	"admissionregistration.k8s.io/validatingadmissionpolicies/status": "harmless: warnings of the type check",
	"apiextensions.k8s.io/customresourcedefinitions":                  "guarded by installation",
	"apiextensions.k8s.io/customresourcedefinitions/status":           "guarded by installation",
	"apiregistration.k8s.io/apiservices":                              "posture: who serves a group speaks for it",
	"apiregistration.k8s.io/apiservices/status":                       counted,

	// Namespaces and nodes.
	"namespaces":          "harmless: policies know a namespace by a label that the API server puts back; a binding is pinned to the UID",
	"namespaces/finalize": "harmless: policies know a namespace by a label that the API server puts back",
	"namespaces/status":   "harmless: policies know a namespace by a label that the API server puts back",
	"nodes":               "posture: out of scope, as root on a node is",
	"nodes/proxy":         "posture: past admission, straight to the kubelet",
	"nodes/status":        "posture: out of scope, as root on a node is",

	// What only says how things run.
	"events": reported, "events.k8s.io/events": reported,
	"coordination.k8s.io/leases": "harmless: who holds the operator's lease keeps it from repairing, while rules and policies stand",
	"limitranges":                "harmless: what they put into a pod is there before the rules see it",
	"resourcequotas":             running, "resourcequotas/status": counted,
	"policy/poddisruptionbudgets": "harmless: pods are ended by deleting them, not by eviction", "policy/poddisruptionbudgets/status": counted,
	"flowcontrol.apiserver.k8s.io/flowschemas": running, "flowcontrol.apiserver.k8s.io/flowschemas/status": counted,
	"flowcontrol.apiserver.k8s.io/prioritylevelconfigurations": running, "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations/status": counted,
	"node.k8s.io/runtimeclasses":                              running,
	"scheduling.k8s.io/priorityclasses":                       running,
	"resource.k8s.io/deviceclasses":                           "posture: a device may be an interface that no network policy sees",
	"resource.k8s.io/devicetaintrules":                        running,
	"resource.k8s.io/devicetaintrules/status":                 counted,
	"resource.k8s.io/resourceclaims":                          "posture: a device may be an interface that no network policy sees",
	"resource.k8s.io/resourceclaims/status":                   counted,
	"resource.k8s.io/resourceclaimtemplates":                  "posture: a device may be an interface that no network policy sees",
	"resource.k8s.io/resourceslices":                          "posture: a device may be an interface that no network policy sees",
	"storagemigration.k8s.io/storageversionmigrations":        "harmless: objects are written as they are",
	"storagemigration.k8s.io/storageversionmigrations/status": counted,
}

const (
	counted  = "harmless: a report of what is there"
	asked    = "harmless: a question"
	reported = "harmless: a report"
	running  = "harmless: when and where pods run, not what they reach"
)

var _ = It("every resource that can be written is classified", func(context.Context) {
	client, err := discovery.NewDiscoveryClientForConfig(cluster.Config())
	Expect(err).NotTo(HaveOccurred())
	_, lists, err := client.ServerGroupsAndResources()
	Expect(err).NotTo(HaveOccurred())
	found := map[string]bool{}
	for _, list := range lists {
		group, _, grouped := strings.Cut(list.GroupVersion, "/")
		for _, resource := range list.APIResources {
			reads := func(verb string) bool { return slices.Contains([]string{"get", "list", "watch"}, verb) }
			if slices.ContainsFunc(resource.Verbs, func(verb string) bool { return !reads(verb) }) {
				name := resource.Name
				if grouped {
					name = group + "/" + name
				}
				found[name] = true
			}
		}
	}
	Expect(slices.Sorted(maps.Keys(found))).To(Equal(slices.Sorted(maps.Keys(classified))))
	for name, class := range classified {
		Expect(class).To(MatchRegexp("^(guarded by |shown to |harmless: |posture: )"), name)
	}
})
