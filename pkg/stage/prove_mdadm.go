package stage

import (
	"errors"
	"fmt"
	"strings"

	"migrate-init/pkg/md"
	"migrate-init/pkg/plan"
)

// mdadm reads what the initrds were made from, and what mdadm itself reads later: the file, and those of its directory.
func (pr *prover) mdadm() plan.Findings {
	if len(pr.p.Target.Arrays()) == 0 {
		return nil
	}
	file, err := mdConf(pr.sys, func(name string) (bool, error) {
		_, err := pr.read(name)
		return err == nil, nil
	})
	if err != nil {
		return fault("file "+file, "", err)
	}
	names := []string{file}
	more, err := glob(pr.root, strings.TrimPrefix(file, "/")+".d/*.conf")
	if err != nil {
		return fault("directory "+file+".d", "", err)
	}
	for _, n := range more {
		if !strings.HasPrefix(n[strings.LastIndexByte(n, '/')+1:], ".") {
			names = append(names, "/"+n)
		}
	}
	var whole md.WholeConf
	for _, n := range names {
		b, err := pr.read(n)
		if err != nil {
			return fault("file "+n, "", err)
		}
		f := md.ConfFile{Conf: md.ParseConf(b)}
		if n != file {
			f.Name = n
		}
		whole = append(whole, f)
	}
	if err := proveMdadmConf(pr.p, whole); err != nil {
		return fault("file "+file, "", err)
	}
	return nil
}

// proveMdadmConf shows that mdadm would take the members of every planned array, as udev hands them over at boot, and
// that `mdadm --assemble --scan` would start them: DEVICE must let it look at them, of all ARRAY lines one must match, and
// no two lines may have one device name. Where two match it cannot decide, and takes neither.
func proveMdadmConf(p *plan.Plan, conf md.WholeConf) error {
	nodes := memberNodes(p)
	var errs []error
	for _, n := range nodes {
		if !conf.Covers(n) {
			errs = append(errs, fmt.Errorf("its DEVICE lines (%s) leave out %s: name partitions there", strings.Join(conf.Devices(), " "), n))
			break
		}
	}
	if a, b, twice := conf.Twins(); twice {
		errs = append(errs, fmt.Errorf("%s and %s give two arrays one device name, %s, and then mdadm --assemble --scan starts none: take the name out of one of the lines", a, b, b.Device))
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
			case !l.Claims(uuid, n.MD.Name, n.MD.Metadata, nodes):
			case l.UUID.IsZero():
				errs = append(errs, fmt.Errorf("%s, which names no UUID, may match array %s too, and with two lines mdadm uses neither: name that array by its UUID, or remove the line", l, n.Ref.ID()))
			case named:
				errs = append(errs, fmt.Errorf("%s is a second one for array %s, and with two lines mdadm uses neither", l, n.Ref.ID()))
			case strings.EqualFold(l.Device, "<ignore>"):
				errs = append(errs, fmt.Errorf("%s makes mdadm ignore array %s", l, n.Ref.ID()))
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
