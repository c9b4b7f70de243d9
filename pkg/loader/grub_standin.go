package loader

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubStandIns is a grub-probe that knows the planned filesystems, which are not made yet. What it cannot answer it refuses, and
// with that the menu is not made ahead. What it answers is what grub-probe says of an array with a GPT below: seen with 2.06.
func grubStandIns(p *plan.Plan, node func(*plan.Node) string) ([]machine.WriteFile, error) {
	list := p.Target.Filesystems()
	// The longest mount point that a path lies in is asked for first.
	sort.SliceStable(list, func(i, j int) bool { return len(list[i].FS.Mount) > len(list[j].FS.Mount) })
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Written by migrate-init: it answers as grub-probe will on the migrated system.\ntarget=fs device= paths=\n" +
		"while [ $# -gt 0 ]; do\n\tcase $1 in\n\t--target=*) target=${1#*=};;\n\t-t | --target) target=$2; shift;;\n\t-d | --device) device=1;;\n" +
		"\t-v | --verbose | -0) ;;\n\t-*) echo \"grub-probe: no answer to option $1\" >&2; exit 1;;\n\t*) paths=\"$paths $1\";;\n\tesac\n\tshift\ndone\n" +
		"[ \"$target\" = partuuid ] && exit 0\n" +
		"set -- $paths\n[ $# = 1 ] || { echo \"grub-probe: one path at a time\" >&2; exit 1; }\nat=$1\n" +
		"[ -n \"$device\" ] || { [ -e \"$1\" ] && at=$(readlink -f \"$1\"); } || exit 1\ncase $device$at in\n")
	for _, n := range list {
		volume, err := grubVolume(n.Lower())
		if err != nil {
			return nil, err
		}
		array := p.Target.Node(n.Lower())
		driver := plan.FSTypeOf(n.FS.Type).GRUB
		if array == nil || array.MD == nil || driver == "" {
			return nil, fmt.Errorf("filesystem at %s: what GRUB says of it is not known", n.FS.Mount)
		}
		pattern := n.FS.Mount + " | " + path.Join(n.FS.Mount, "*")
		if n.FS.Mount == "/" {
			pattern = "/*"
		}
		// One word for each member that is there.
		maps := strings.Repeat(" gpt", len(slices.DeleteFunc(slices.Clone(array.On), func(r plan.Ref) bool { return r == "" })))
		fmt.Fprintf(&b, "%s | 1%s)\n\tdev=%s fs=%s uuid=%s reader='%s' hint=%s maps='%s';;\n", shellPattern(pattern), node(n), node(n), driver, n.Ref.ID(),
			strings.Join(grubArrays(plan.Graph{*array}), " "), volume, strings.TrimSpace(maps))
	}
	b.WriteString("*) echo \"grub-probe: $at is not known\" >&2; exit 1;;\nesac\ncase $target in\ndevice) echo \"$dev\";;\nfs) echo \"$fs\";;\nfs_uuid) echo \"$uuid\";;\nfs_label) ;;\n" +
		"partmap) printf '%s\\n' $maps;;\nabstraction) printf '%s\\n' diskfilter $reader;;\ncompatibility_hint) echo \"$hint\";;\nhints_string) echo \"--hint='$hint' \";;\n" +
		"*) echo \"grub-probe: no answer to target $target\" >&2; exit 1;;\nesac\n")
	return []machine.WriteFile{{Path: "/usr/sbin/grub-probe", Data: []byte(b.String()), Mode: 0o755}}, nil
}

// shellPattern quotes a pattern of case, but for its alternatives and the star at the end.
func shellPattern(p string) string {
	var out []string
	for _, x := range strings.Split(p, " | ") {
		rest, star := strings.CutSuffix(x, "*")
		x = "'" + strings.ReplaceAll(rest, "'", `'\''`) + "'"
		if star {
			x += "*"
		}
		out = append(out, x)
	}
	return strings.Join(out, " | ")
}
