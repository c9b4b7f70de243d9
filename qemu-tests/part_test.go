package qemutests

import "testing"

func TestPartOf(t *testing.T) {
	re := partOf([]string{"check", "prepare", "copy"})
	for reason, want := range map[string]bool{
		"the machine stopped during copy":                    true,
		"the machine stopped during /: copy":                 true,
		"the machine stopped after prepare":                  true,
		"the machine stopped during swap: make swap":         true,
		"the machine stopped after /: set identity and size": true,
		"the machine stopped during commit":                  false,
		"stage copy: input/output error":                     false,
	} {
		if re.MatchString(reason) != want {
			t.Errorf("%q: %v, want %v", reason, !want, want)
		}
	}
}
