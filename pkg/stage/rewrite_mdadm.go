package stage

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

const mdadmConf = "/etc/mdadm/mdadm.conf"

func (r *rewriter) mdadm() error {
	if len(r.p.Target.Arrays) == 0 {
		return nil
	}
	name, err := r.place(mdadmConf)
	if err != nil {
		return err
	}
	if name == "" {
		name = mdadmConf
	}
	old, err := r.read(name)
	if err != nil {
		return err
	}
	var arrays []md.ConfArray
	homehost := ""
	for _, n := range r.p.Target.Arrays {
		uuid, err := md.ParseUUID(n.UUID)
		if err != nil {
			return fmt.Errorf("array %s: %w", n.UUID, err)
		}
		host, short, ok := strings.Cut(n.Name, ":")
		if !ok {
			short = n.Name
		} else {
			homehost = host
		}
		arrays = append(arrays, md.ConfArray{Device: "/dev/md/" + short, UUID: uuid, Metadata: n.Metadata, Members: memberNodes(r.p)})
	}
	if old == nil {
		r.out = append(r.out, machine.Mkdir{Path: path.Join(r.dir, path.Dir(name)), Mode: 0o755})
	}
	r.write(name, old, md.SetArrays(old, arrays, homehost), 0o644)
	return nil
}

// memberNodes are names that the new arrays' members may have: as the plan saw the disks, and as a further disk that is
// found first would push them along.
func memberNodes(p *plan.Plan) []string {
	var out []string
	for _, t := range slices.Concat(p.Target.Disks, p.Target.Mirrors) {
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
			for _, q := range t.Partitions {
				if n := d + strconv.Itoa(q.Number); q.Role == plan.RoleRaid && !slices.Contains(out, n) {
					out = append(out, n)
				}
			}
		}
	}
	return out
}
