package conf

import "testing"

func TestUncommented(t *testing.T) {
	for in, want := range map[string]string{
		"# a\nb # c\n":            "\nb \n",
		"a#b '# c' \"# d\" \\# e": "a#b '# c' \"# d\" \\# e",
		"a; # b":                  "a; ",
		"echo $#\n":               "echo $#\n",
		// An apostrophe in the text of a here-document, without a second one: only whole lines are certain to be comments.
		"cat <<EOF\nI don't # x\nEOF\n  # y\n": "cat <<EOF\nI don't # x\nEOF\n",
		"a 'b\n# c\n' # d\n":                   "a 'b\n# c\n' \n",
		"# don't\na # b\n":                     "\na \n",
		"":                                     "",
	} {
		if got := string(Uncommented([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
