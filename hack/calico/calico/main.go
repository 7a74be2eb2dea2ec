// Command calico is the part of Calico that a node of the end-to-end test needs, in one file and told apart by the name it
// is called by: Felix, which turns network policies into packet filters, and the plugin that gives a pod its interface.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/calico/cni-plugin/pkg/plugin"
	"github.com/projectcalico/calico/felix/daemon"
)

const version = "v3.28"

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "felix":
		daemon.Run("/dev/null", version, "", "") // configured by its environment
	case "calico":
		plugin.Main(version)
	default:
		fmt.Fprintf(os.Stderr, "%s is not a component; call this file through a link named felix or calico\n", name)
		os.Exit(2)
	}
}
