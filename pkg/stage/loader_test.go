package stage

import (
	"testing"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/loader"
	"migrate-init/pkg/plan"
)

// grub is the row of the fake machine's boot loader.
func grub(t *testing.T, p *plan.Plan) loader.Loader {
	t.Helper()
	l, err := loader.Known().Of(p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// rules are those of this program.
func rules() plan.Rules {
	r := distro.Known().Rules()
	r.Loaders = loader.Known().Rules()
	return r
}
