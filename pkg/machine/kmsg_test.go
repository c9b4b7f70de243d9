package machine

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

type records []string

func (r *records) Write(p []byte) (int, error) { *r = append(*r, string(p)); return len(p), nil }

func TestKmsgWritesARecordALine(t *testing.T) {
	var got records
	k := &Kmsg{W: &got, Tag: "migrate-init"}
	if n, err := k.Write([]byte("one\n\ntwo\r\n")); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	must(t, k.Log(3, "bad"))
	must(t, k.Log(99, "low"))
	want := []string{"<6>migrate-init: one\n", "<6>migrate-init: two\n", "<3>migrate-init: bad\n", "<7>migrate-init: low\n"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestKmsgCutsLongLinesBetweenCharacters(t *testing.T) {
	for _, text := range []string{strings.Repeat("ä", 3000), "a" + strings.Repeat("€", 2000), strings.Repeat("\x80", 3000)} {
		var got records
		k := &Kmsg{W: &got, Tag: "t"}
		must(t, k.Log(6, text))
		var back string
		for _, r := range got {
			if len(r) >= 1000 || utf8.ValidString(text) && !utf8.ValidString(r) {
				t.Errorf("record of %d bytes: %.20q...", len(r), r)
			}
			back += strings.TrimSuffix(strings.TrimPrefix(r, "<6>t: "), "\n")
		}
		if back != text {
			t.Errorf("%.10q: %d bytes came back as %d", text, len(text), len(back))
		}
	}
}

func TestKmsgReportsAndGoesOn(t *testing.T) {
	if err := (&Kmsg{W: failing{}}).Log(6, "a\nb"); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	if n, err := (&Kmsg{W: failing{}}).Write(bytes.Repeat([]byte("x"), 5)); n != 0 || err == nil {
		t.Errorf("got %d, %v", n, err)
	}
}
