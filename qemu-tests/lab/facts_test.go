package lab

import (
	"reflect"
	"testing"
)

func TestParseMdstat(t *testing.T) {
	const text = `Personalities : [raid1] [raid6] [raid5] [raid4]
md127 : active (auto-read-only) raid1 vdc[1](F) vdb[0]
      1046528 blocks super 1.2 [2/1] [U_]
        resync=PENDING

md0 : active raid1 vda2[2] vdb2[1]
      1946624 blocks super 1.2 [2/1] [_U]
      [==>..................]  recovery = 12.6% (245312/1946624) finish=0.3min speed=81770K/sec

md5 : inactive vdd[1](S)
      1046528 blocks super 1.2

unused devices: <none>
`
	got := parseMdstat(text)
	for i := range got {
		got[i].Text = ""
	}
	want := []Array{
		{Name: "md127", State: "active (auto-read-only)", Level: "raid1", Members: []string{"vdc(F)", "vdb"}, Legs: "U_", Action: "resync"},
		{Name: "md0", State: "active", Level: "raid1", Members: []string{"vda2", "vdb2"}, Legs: "_U", Action: "recovery"},
		{Name: "md5", State: "inactive", Members: []string{"vdd(S)"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
