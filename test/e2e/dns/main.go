// Command dns answers for the Services of the cluster that it runs in, and for nothing else: cluster DNS as far as the suite
// needs it. Names are <service>.<namespace>.svc.cluster.local.
package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
)

const (
	suffix   = ".svc.cluster.local."
	lifetime = 1 // second: Services come and go
)

func main() {
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	services.Informer()
	factory.Start(ctx.Done())
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for kind, synced := range factory.WaitForCacheSync(wait.Done()) {
		if !synced {
			return fmt.Errorf("no answer about %s", kind)
		}
	}
	connection, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	buffer := make([]byte, 512)
	for {
		size, from, err := connection.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if reply, err := answer(services.Lister(), buffer[:size]); err == nil { // what is no question gets no answer
			_, _ = connection.WriteTo(reply, from) // who asked asks again
		}
	}
}

// answer answers the first question of a message, as resolvers expect it.
func answer(services corelisters.ServiceLister, message []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{question},
	}
	addresses, known := resolve(services, strings.ToLower(question.Name.String()))
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: lifetime}}
		switch {
		case address.Is4() && question.Type == dnsmessage.TypeA:
			resource.Body = &dnsmessage.AResource{A: address.As4()}
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			resource.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		reply.Answers = append(reply.Answers, resource)
	}
	return reply.Pack()
}

func resolve(services corelisters.ServiceLister, name string) (addresses []netip.Addr, known bool) {
	rest, found := strings.CutSuffix(name, suffix)
	service, namespace, parts := strings.Cut(rest, ".")
	if !found || !parts {
		return nil, false
	}
	object, err := services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	for _, text := range object.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(text); err == nil && text != corev1.ClusterIPNone {
			addresses = append(addresses, address)
		}
	}
	return addresses, true
}
