package boot

import (
	"slices"
	"testing"
)

const menuText = `
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="saved>x"
fi
menuentry 'A' --id a { linux /a }
submenu 'More' --id more {
	menuentry 'B' --id b { linux /b }
	submenu 'Deep' { menuentry 'C' { linux /c }
	}
	menuentry 'D' --id d { linux /d }
}
menuentry 'E' { linux /e }
`

func TestChosen(t *testing.T) {
	cfg, err := ParseGRUBConfig([]byte(menuText))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"${next_entry}", "saved>x"}; !slices.Equal(cfg.Defaults, want) {
		t.Errorf("defaults %q", cfg.Defaults)
	}
	for value, want := range map[string]string{
		"": "A", "0": "A", "a": "A", "A": "A", "7": "A", "none": "A", "-1": "A",
		"1": "B", "more": "B", "more>1": "C", "more>Deep": "C", "more>Deep>C": "C", "more>d": "D", "1>2": "D", "more>9": "B",
		"2": "E", "E": "E",
	} {
		if e, ok := cfg.Chosen(value); !ok || e.Title != want {
			t.Errorf("%q leads to %q, want %q", value, e.Title, want)
		}
	}
	if e, ok := (GRUBConfig{}).Chosen("0"); ok {
		t.Errorf("an empty menu has %q", e.Title)
	}
}

// A title that begins with a digit counts as a number, and a doubled '>' is one '>' of a title.
func TestChosenNames(t *testing.T) {
	const text = "menuentry 'first' { linux /1 }\nmenuentry '2 disks > one array' { linux /2 }\nmenuentry 'A > B' { linux /3 }\n" +
		"submenu 'C>' { menuentry 'D>E' { linux /4 }\nmenuentry 'F' { linux /5 }\n}\n"
	cfg, err := ParseGRUBConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"2 disks >> one array": "A > B", "1x": "2 disks > one array", "0x2": "A > B", "02": "A > B", "08": "first", " 1": "2 disks > one array", "99999999999999999999": "first",
		"A >> B": "A > B", "A > B": "first", "C>>>D>>E": "D>E", "C>>>F": "F", "3>1": "F", "3>": "D>E",
	} {
		if e, ok := cfg.Chosen(value); !ok || e.Title != want {
			t.Errorf("%q leads to %q, want %q", value, e.Title, want)
		}
	}
}

func FuzzChosen(f *testing.F) {
	f.Add([]byte(menuText), "more>Deep>C")
	f.Add([]byte("submenu x {\nsubmenu x { menuentry x { true\n}\n}\n}\n"), "0>0>0>0")
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		cfg, err := ParseGRUBConfig(text)
		if err != nil {
			return
		}
		if _, ok := cfg.Chosen(value); ok != (len(cfg.Entries) > 0) {
			t.Errorf("%d entries, chosen %v", len(cfg.Entries), ok)
		}
	})
}
