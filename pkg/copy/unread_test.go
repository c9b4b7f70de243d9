package copy

import (
	"errors"
	"testing"

	"migrate-init/pkg/extent"
	"migrate-init/pkg/tree"
)

// TestVerifiedTree checks that a copy passes if all missing items are known to have been unreadable, and never with a difference.
func TestVerifiedTree(t *testing.T) {
	rep := tree.Report{Files: 5, Damaged: []string{`"a": missing`}, DamagedCount: 7}
	c, err := verifiedTree(rep, nil)
	if err != nil || c.Unread != 7 || len(c.Skipped) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	rep.Count, rep.Differences = 1, []tree.Difference{{Path: "b", What: "data"}}
	if _, err := verifiedTree(rep, nil); err == nil {
		t.Error("a difference is accepted")
	}
	c, _ = copiedTree(tree.Result{Problems: []tree.Problem{{Path: "a", What: "entry", Err: errors.New("e")}}, ProblemCount: 3}, nil)
	if c.Unread != 3 || len(c.Skipped) != 1 || c.Skipped[0] != `"a": entry: e` {
		t.Errorf("%+v", c)
	}
	c = Counts{}
	c.addUnread("/dev/x", make([]extent.Range, maxSkipped+1))
	if c.Unread != maxSkipped+1 || len(c.Skipped) != maxSkipped {
		t.Errorf("%d listed of %d", len(c.Skipped), c.Unread)
	}
}
