package stage

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// mdadm reads what the initrds were made from, and what mdadm itself reads later.
func (pr *prover) mdadm() plan.Findings {
	if len(pr.p.Target.Arrays()) == 0 {
		return nil
	}
	file := "/" + pr.sys.Family.MDConf
	b, err := pr.read(file)
	if err == nil {
		err = proveMdadmConf(pr.p, b)
	}
	if err != nil {
		return fault("file "+file, "", err)
	}
	return nil
}

// proveMdadmConf shows that mdadm would take the members of every planned array, as udev hands them over at boot: DEVICE
// must let it look at them, and of all ARRAY lines one must match. Where two do it cannot decide, and takes neither.
func proveMdadmConf(p *plan.Plan, b []byte) error {
	conf := md.ParseConf(b)
	nodes := memberNodes(p)
	var errs []error
	for _, n := range nodes {
		if !conf.Covers(n) {
			errs = append(errs, fmt.Errorf("its DEVICE lines (%s) leave out %s: name partitions there", strings.Join(conf.Devices(), " "), n))
			break
		}
	}
	for _, n := range p.Target.Arrays() {
		uuid, err := md.ParseUUID(n.Ref.ID())
		if err != nil {
			errs = append(errs, fmt.Errorf("array %s: %w", n.Ref.ID(), err))
			continue
		}
		named := false
		for _, l := range conf.Arrays() {
			switch {
			case !claims(l, uuid, n.MD.Name, nodes):
			case l.UUID.IsZero():
				errs = append(errs, fmt.Errorf("line %d, which names no UUID, may match array %s too, and of two lines mdadm takes none: name that array by its UUID, or remove the line", l.Line, n.Ref.ID()))
			case named:
				errs = append(errs, fmt.Errorf("line %d is one more for array %s, and of two lines mdadm takes none", l.Line, n.Ref.ID()))
			case strings.EqualFold(l.Device, "<ignore>"):
				errs = append(errs, fmt.Errorf("line %d lets mdadm ignore array %s", l.Line, n.Ref.ID()))
			default:
				named = true
			}
		}
		if !named {
			errs = append(errs, fmt.Errorf("no ARRAY line names array %s", n.Ref.ID()))
		}
	}
	return errors.Join(errs...)
}

// claims reports whether mdadm may take an ARRAY line for an array: everything that the line says has to agree.
func claims(l md.ArrayLine, uuid md.UUID, name string, nodes []string) bool {
	if !l.UUID.IsZero() && l.UUID != uuid || l.Name != "" && !strings.EqualFold(l.Name, name) {
		return false
	}
	if len(l.Devices) > 0 && len(nodes) > 0 && !slices.ContainsFunc(l.Devices, func(pattern string) bool {
		return slices.ContainsFunc(nodes, func(n string) bool { ok, err := path.Match(pattern, n); return ok || err != nil })
	}) {
		return false
	}
	return !l.UUID.IsZero() || l.Name != "" || len(l.Devices) > 0
}
