package plan

// Graph gives what was seen as nodes: the same nodes that plans are made of. A disk has no identity that would make a
// reference; here its kernel name stands for it. A thing seen twice (two filesystems of one UUID) is there twice.
func (f *Facts) Graph() Graph {
	var g Graph
	for _, k := range kinds() {
		g = append(g, k.see(f)...)
	}
	return g
}

// refTo is the reference by which nodes name a device that they lie on, "" where it has none.
func (f *Facts) refTo(name string) Ref {
	d := f.Dev(name)
	switch {
	case d == nil:
	case d.Over != "":
		return f.refTo(d.Over)
	case d.Kind == KindDisk:
		return Ref("disk:" + d.Name)
	case d.Kind == KindPart && d.GUID != "":
		return Ref("part:" + d.GUID)
	case d.Kind == KindArray:
		if a := f.byNode(d.Name); a != nil {
			return Ref("md:" + a.UUID)
		}
	case d.Kind == KindDM:
		switch lv, crypt := f.mapped(d.Name); {
		case lv != nil:
			return Ref("lv:" + lv.UUID)
		case crypt != nil && crypt.UUID != "":
			return Ref("luks:" + crypt.UUID)
		}
	}
	return ""
}
