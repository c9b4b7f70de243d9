package stage

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/distro"
	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

func (r *rewriter) mdadm() error {
	if len(r.p.Target.Arrays()) == 0 && len(r.p.Source.Arrays()) == 0 {
		return nil
	}
	name, err := mdConf(r.sys, func(name string) (bool, error) {
		at, err := r.place(name)
		return at != "", err
	})
	if err != nil {
		return err
	}
	if at, err := r.place(name); err != nil {
		return err
	} else if at != "" {
		name = at
	}
	old, err := r.read(name)
	if err != nil {
		return err
	}
	var arrays []md.ConfArray
	homehost := ""
	for _, n := range r.p.Target.Arrays() {
		uuid, err := md.ParseUUID(n.Ref.ID())
		if err != nil {
			return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
		}
		if host, _, ok := strings.Cut(n.MD.Name, ":"); ok {
			homehost = host
		}
		arrays = append(arrays, md.ConfArray{Device: n.MD.Path(), UUID: uuid, Metadata: n.MD.Metadata, Members: memberNodes(r.p)})
	}
	// The old system's arrays stay as they are until finish: the new one starts none of them by itself.
	for _, n := range r.p.Source.Arrays() {
		uuid, err := md.ParseUUID(n.Ref.ID())
		if err != nil {
			return fmt.Errorf("array %s: %w", n.Ref.ID(), err)
		}
		if r.p.Target.Node(n.Ref) == nil {
			arrays = append(arrays, md.ConfArray{Device: md.Ignore, UUID: uuid})
		}
	}
	if old == nil {
		r.out = append(r.out, machine.Mkdir{Path: path.Join(r.dir, path.Dir(name)), Mode: 0o755})
	}
	r.write(name, old, md.SetArrays(old, arrays, homehost), 0o644)
	return nil
}

// mdConf is the file that mdadm reads in a system: the first that is there, and where there is none, the usual one.
func mdConf(sys distro.System, there func(name string) (bool, error)) (string, error) {
	usual := "/" + sys.Family.MDConf
	for _, name := range append([]string{sys.Family.MDConf}, sys.Family.MDConfElse...) {
		if ok, err := there("/" + name); err != nil {
			return usual, err
		} else if ok {
			return "/" + name, nil
		}
	}
	return usual, nil
}

// memberNodes are names that the new arrays' members may have: as the plan saw the disks, and as a further disk that is
// found first would push them along.
func memberNodes(p *plan.Plan) []string {
	var out []string
	for _, t := range p.Final.Disks() {
		disks := []string{t.Was}
		for _, kind := range []string{"/dev/sd", "/dev/vd", "/dev/xvd", "/dev/hd"} {
			if strings.HasPrefix(t.Was, kind) {
				disks = append(disks, kind+"z")
			}
		}
		for _, d := range disks {
			if d == "" {
				continue
			}
			if c := d[len(d)-1]; c >= '0' && c <= '9' {
				d += "p"
			}
			for _, q := range p.Final.Parts(t.Ref) {
				if n := d + strconv.Itoa(q.Part.Number); q.Part.Role == plan.RoleRaid && !slices.Contains(out, n) {
					out = append(out, n)
				}
			}
		}
	}
	return out
}
