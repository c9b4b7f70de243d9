package plan

import (
	"strings"
	"testing"
)

// A disk that could not be read is not called empty.
func TestDescribeUnread(t *testing.T) {
	f := good()
	if got := f.Describe(); !strings.Contains(got, "empty, serial NEW1") {
		t.Fatalf("the new disk is not described as empty:\n%s", got)
	}
	f.Problems = []Problem{{Subject: "/dev/vdb", Err: "operation not permitted", Device: "/dev/vdb"}}
	if got := f.Describe(); strings.Contains(got, "empty, serial NEW1") || !strings.Contains(got, "contents unknown, serial NEW1") {
		t.Errorf("described as\n%s", got)
	}
}
