// CoreDNS with the few plugins that a test cluster's Corefile uses.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func init() {
	// The order in which a query passes the plugins: names of the cluster before the catch-all.
	dnsserver.Directives = []string{"ready", "errors", "kubernetes", "template"}
}

func main() { coremain.Run() }
