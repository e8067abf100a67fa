//go:build requirements

// Prometheus as it is: its program is named here only so that go.sum covers all it is built from.
package program

import _ "github.com/prometheus/prometheus/cmd/prometheus"
