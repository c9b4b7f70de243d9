package lab

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// archive is one source of packages as apt knows it.
type archive struct {
	uri, suite string
	main       bool
}

// mirror returns sources.list lines for suite, its updates and its security updates, from the apt configuration below root
// (deb822 files and one-line files). $MIGRATE_INIT_MIRROR, the URL of a Debian archive, replaces all that. Components are taken
// beside main: a mirror has them, whether or not this machine uses them.
func mirror(root fs.FS, suite string, components ...string) (string, error) {
	take := strings.Join(append([]string{"main"}, components...), " ")
	if m := os.Getenv("MIGRATE_INIT_MIRROR"); m != "" {
		return "deb " + m + " " + suite + " " + take + "\n", nil
	}
	var all []archive
	files, _ := fs.Glob(root, "etc/apt/sources.list.d/*.sources")
	for _, f := range files {
		b, err := fs.ReadFile(root, f)
		if err != nil {
			return "", err
		}
		all = append(all, deb822(string(b))...)
	}
	files, _ = fs.Glob(root, "etc/apt/sources.list.d/*.list")
	for _, f := range append(files, "etc/apt/sources.list") {
		if b, err := fs.ReadFile(root, f); err == nil {
			all = append(all, oneLine(string(b))...)
		}
	}
	var out strings.Builder
	var base bool
	for _, s := range []string{suite, suite + "-updates", suite + "-security"} {
		i := slices.IndexFunc(all, func(a archive) bool { return a.suite == s && a.main })
		if i >= 0 {
			base = base || s == suite
			fmt.Fprintf(&out, "deb %s %s %s\n", all[i].uri, s, take)
		}
	}
	if !base {
		return "", fmt.Errorf("lab: apt on this machine has no source with suite %s and component main; set MIGRATE_INIT_MIRROR to a Debian archive", suite)
	}
	return out.String(), nil
}

func deb822(text string) []archive {
	var out []archive
	field := map[string]string{}
	flush := func() {
		if field["enabled"] != "no" && slices.Contains(strings.Fields(field["types"]), "deb") {
			for _, u := range strings.Fields(field["uris"]) {
				for _, s := range strings.Fields(field["suites"]) {
					out = append(out, archive{u, s, slices.Contains(strings.Fields(field["components"]), "main")})
				}
			}
		}
		clear(field)
	}
	last := ""
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			field[last] += " " + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			field[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return out
}

func oneLine(text string) []archive {
	var out []archive
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if i, j := strings.Index(line, "["), strings.Index(line, "]"); i >= 0 && j > i {
			line = line[:i] + line[j+1:]
		}
		f := strings.Fields(line)
		if len(f) >= 4 && f[0] == "deb" {
			out = append(out, archive{f[1], f[2], slices.Contains(f[3:], "main")})
		}
	}
	return out
}
