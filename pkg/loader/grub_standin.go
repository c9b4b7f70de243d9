package loader

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubStandIns is a grub-probe that knows the planned filesystems, which are not made yet. What it cannot answer it refuses, and
// with that the menu is not made ahead. What it answers is what grub-probe says of an array with a GPT below: seen with 2.06.
func grubStandIns(p *plan.Plan, node func(*plan.Node) string) ([]machine.WriteFile, error) {
	list := p.Target.Places()
	// The longest mount point that a path lies in is asked for first.
	slices.Reverse(list)
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Written by migrate-init: it answers as grub-probe will on the migrated system.\ntarget=fs device= paths=\n" +
		"while [ $# -gt 0 ]; do\n\tcase $1 in\n\t--target=*) target=${1#*=};;\n\t-t | --target) target=$2; shift;;\n\t-d | --device) device=1;;\n" +
		"\t-v | --verbose | -0) ;;\n\t-*) echo \"grub-probe: no answer to option $1\" >&2; exit 1;;\n\t*) paths=\"$paths $1\";;\n\tesac\n\tshift\ndone\n" +
		"[ \"$target\" = partuuid ] && exit 0\n" +
		"set -- $paths\n[ $# = 1 ] || { echo \"grub-probe: one path at a time\" >&2; exit 1; }\nat=$1\n" +
		"[ -n \"$device\" ] || { [ -e \"$1\" ] && at=$(readlink -f \"$1\"); } || exit 1\ncase $device$at in\n")
	for _, x := range list {
		n := x.Node
		volume, err := grubVolume(n.Lower())
		if err != nil {
			return nil, err
		}
		array := p.Target.Node(n.Lower())
		driver := plan.FSTypeOf(n.FS.Type).GRUB
		if array == nil || array.MD == nil || driver == "" {
			return nil, fmt.Errorf("filesystem at %s: what GRUB says of it is not known", x.Dir)
		}
		// One word for each member that is there.
		maps := strings.Repeat(" gpt", len(slices.DeleteFunc(slices.Clone(array.On), func(r plan.Ref) bool { return r == "" })))
		fmt.Fprintf(&b, "%s | 1%s)\n\tdev=%s fs=%s uuid=%s reader='%s' hint=%s maps='%s';;\n", shellPattern(placePattern(x)), node(n), node(n), driver, n.Ref.ID(),
			strings.Join(grubArrays(plan.Graph{*array}), " "), volume, strings.TrimSpace(maps))
	}
	b.WriteString("*) echo \"grub-probe: $at is not known\" >&2; exit 1;;\nesac\ncase $target in\ndevice) echo \"$dev\";;\nfs) echo \"$fs\";;\nfs_uuid) echo \"$uuid\";;\nfs_label) ;;\n" +
		"partmap) printf '%s\\n' $maps;;\nabstraction) printf '%s\\n' diskfilter $reader;;\ncompatibility_hint) echo \"$hint\";;\nhints_string) echo \"--hint='$hint' \";;\n" +
		"*) echo \"grub-probe: no answer to target $target\" >&2; exit 1;;\nesac\n")
	out := []machine.WriteFile{{Path: "/usr/sbin/grub-probe", Data: []byte(b.String()), Mode: 0o755}}
	if slices.ContainsFunc(list, func(x plan.Place) bool { return x.Subvol != "" }) {
		out = append(out, grubPaths(list))
	}
	return out, nil
}

// grubPaths is a grub-mkrelpath that knows the planned subvolumes: an overlay over one of them shows none. The menu names kernels,
// and the subvolume of the root, by what it says.
func grubPaths(list []plan.Place) machine.WriteFile {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Written by migrate-init: it answers as grub-mkrelpath will on the migrated system.\n" +
		"for at; do :; done\nat=$(readlink -m \"$at\") || exit 1\ncase $at in\n")
	for _, x := range list {
		quoted := "'" + strings.ReplaceAll(strings.TrimSuffix(x.Dir, "/"), "'", `'\''`) + "'"
		root := "'" + strings.ReplaceAll(strings.TrimSuffix(x.Root(), "/"), "'", `'\''`) + "'"
		fmt.Fprintf(&b, "%s) at=%s${at#%s}; at=${at%%/}; echo \"${at:-/}\";;\n", shellPattern(placePattern(x)), root, quoted)
	}
	b.WriteString("esac\n")
	return machine.WriteFile{Path: "/usr/bin/grub-mkrelpath", Data: []byte(b.String()), Mode: 0o755}
}

func placePattern(x plan.Place) string {
	if x.Dir == "/" {
		return "/*"
	}
	return x.Dir + " | " + path.Join(x.Dir, "*")
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
