package stage

import (
	"fmt"
	"strings"
	"testing"
)

// TestStampRecords: however many filesystems there are, every stamp is read again; a stamp that was cut would count as
// changed forever.
func TestStampRecords(t *testing.T) {
	for _, n := range []int{0, 1, perRecord, perRecord + 1, 200} {
		stamps := map[string]string{}
		for i := range n {
			stamps[fmt.Sprintf("stamp:%08x-0000-4000-8000-000000000000", i)] = strings.Repeat("9", 80) + fmt.Sprint(i)
		}
		v := newVolume(20)
		var rs Records
		for _, rec := range stampRecords(Record{Stage: "check", Event: Done, Text: "every check passed before the first write"}, stamps) {
			rs = v.add(t, rs, rec)
		}
		got, err := ReadJournal(v, testPlan, int64(len(v)))
		if err != nil || !got.Done("check") || len(got) != max(1, (n+perRecord-1)/perRecord) {
			t.Fatalf("%d filesystems: %d records, %v", n, len(got), err)
		}
		for k, want := range stamps {
			if is := got.Fact(k); is != want {
				t.Fatalf("%d filesystems: %s is %q, want %q", n, k, is, want)
			}
		}
	}
}
