package account_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/iam/account"
)

// The picture has who can become whom, how far everybody is from all rights, and no more arrows than are asked for.
func TestGraph(t *testing.T) {
	a := shop(t)
	nodes, edges, _, cut := a.Graph("", 1000)
	if cut || len(nodes) == 0 || len(edges) == 0 {
		t.Fatalf("%d nodes, %d edges, %v", len(nodes), len(edges), cut)
	}
	steps := map[string]int{}
	for _, n := range nodes {
		steps[n.ID] = n.Steps
	}
	ways := map[string]bool{}
	for _, e := range a.Escalations() {
		ways[e.Principal.ARN] = true
		if n := steps[e.Principal.ARN]; n != len(e.Steps) {
			t.Errorf("%s is %d steps from all rights, and its way has %d", e.Principal.ARN, n, len(e.Steps))
		}
	}
	for _, e := range edges {
		if !e.Assumes && len(e.Paths) == 0 || len(e.Paths) != len(e.Hows) {
			t.Errorf("%+v says not how", e)
		}
	}
	if _, few, _, cut := a.Graph("", 2); len(few) != 2 || !cut {
		t.Errorf("%d edges, cut %v", len(few), cut)
	}
	for arn := range ways {
		_, near, _, _ := a.Graph(arn, 1000)
		reaches := false
		for _, e := range near {
			reaches = reaches || e.To == account.Admin || steps[e.To] == 0
		}
		if !reaches {
			t.Errorf("the picture of %s does not lead to all rights: %v", arn, near)
		}
	}
	if len(ways) == 0 {
		t.Error("there is no way to compare with")
	}
}
