package probe

import "fmt"

// xfsFeatures names the features of a superblock as mkfs.xfs and xfs_info do (fs/xfs/libxfs/xfs_format.h). Version 4,
// which has a few of them as bits of features2, is v4 here. A bit without a name is FEATURE_C, FEATURE_R, FEATURE_I or FEATURE_L and its number, of the
// compat, ro_compat, incompat and log_incompat words.
func xfsFeatures(x *XFS, version uint16) (out []string) {
	const asciiCI, moreBits, v4ftype = 0x4000, 0x8000, 0x200
	if version&asciiCI != 0 {
		out = append(out, "ci")
	}
	if x.Realtime {
		out = append(out, "realtime")
	}
	if x.Version < 5 {
		out = append(out, "v4")
		if version&moreBits != 0 && x.Features2&v4ftype != 0 {
			out = append(out, "ftype")
		}
		return out
	}
	out = append(out, "crc")
	for _, w := range []struct {
		word  uint32
		kind  string
		names []string
	}{
		{x.ROCompat, "R", []string{"finobt", "rmapbt", "reflink", "inobtcount"}},
		{x.Incompat, "I", []string{"ftype", "sparse", "metauuid", "bigtime", "needsrepair", "nrext64", "exchange", "parent", "metadir", "zoned"}},
		{x.Compat, "C", nil},
		{x.LogIncompat, "L", []string{"larp"}},
	} {
		for bit := range 32 {
			switch {
			case w.word>>bit&1 == 0:
			case bit < len(w.names):
				out = append(out, w.names[bit])
			default:
				out = append(out, fmt.Sprintf("FEATURE_%s%d", w.kind, bit))
			}
		}
	}
	return out
}
