package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// usageColumns is what a line of help may have.
const usageColumns = 80

// usage is the help of the whole program.
func usage(w io.Writer) {
	fmt.Fprintf(w, "migrate-init moves a running server onto RAID1 with one reboot, and can go back.\n\nusage: migrate-init COMMAND [options]\n")
	for _, g := range groups() {
		fmt.Fprintf(w, "\n%s\n", g)
		for _, v := range verbs() {
			if v.group == g {
				entry(w, strings.TrimSpace(v.name+" "+v.args), v.help, 31)
			}
		}
	}
	fmt.Fprintf(w, "\n`migrate-init help COMMAND` lists the options of a command.\n"+
		"Exit codes: 0 done, 1 refused or failed, 2 usage error, 3 copied in part.\n")
}

// usage is the help of one command.
func (v verb) usage(w io.Writer, fs *flag.FlagSet) {
	line := strings.TrimSpace("migrate-init " + v.name + " " + v.args)
	if v.flags != nil {
		line += " [options]"
	}
	fmt.Fprintf(w, "usage: %s\n\n", line)
	fmt.Fprintf(w, "%s\n", strings.ToUpper(v.help[:1])+v.help[1:]+".")
	if v.flags == nil {
		return
	}
	fmt.Fprint(w, "\noptions:\n")
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		name := spelled(f.Name)
		if value != "" {
			name += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0s" {
			text += " (default " + f.DefValue + ")"
		}
		entry(w, name, text, 20)
	})
}

// spelled is an option as people type it.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// entry prints a name and what it means, in lines that fit a terminal; the text begins at a column.
func entry(w io.Writer, name, text string, column int) {
	line, begun := "  "+name, false
	if len(line)+2 > column {
		fmt.Fprintln(w, line)
		line = ""
	}
	for word := range strings.FieldsSeq(text) {
		switch {
		case !begun:
			line = fmt.Sprintf("%-*s", column, line)
		case len(line)+1+len(word) > usageColumns:
			fmt.Fprintln(w, line)
			line = strings.Repeat(" ", column)
		default:
			line += " "
		}
		line, begun = line+word, true
	}
	fmt.Fprintln(w, line)
}

// didYouMean names what a person may have meant; "" for nothing that is near.
func didYouMean(word string, names []string, spell func(string) string) string {
	if near := nearest(word, names); near != "" {
		return "; did you mean " + spell(near) + "?"
	}
	return ""
}

// nearest is the one of some names that begins with a word, or that few letters tell from it; "" for none.
func nearest(word string, names []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, n := range names {
		d := distance(word, n)
		if len(word) >= 2 && strings.HasPrefix(n, word) {
			d = min(d, 1)
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their neighbour to make one word of another.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range len(a) {
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			rows[i+1][j+1] = min(rows[i][j]+same, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// commandNames lists the commands.
func commandNames() []string {
	var out []string
	for _, v := range verbs() {
		out = append(out, v.name)
	}
	return out
}

// optionNames lists the options of a command.
func optionNames(fs *flag.FlagSet) []string {
	out := []string{"help"}
	fs.VisitAll(func(f *flag.Flag) { out = append(out, f.Name) })
	slices.Sort(out)
	return out
}
