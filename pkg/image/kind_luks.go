package image

import (
	"path"

	"migrate-init/pkg/kmod"
	"migrate-init/pkg/plan"
)

func luksKind() kind {
	return kind{
		is:      func(n *plan.Node) bool { return n.LUKS != nil },
		modules: func(_ *collector, _ *kmod.Index, n *plan.Node) []wanted { return cryptoModules(n) },
		sources: func(c *collector, n *plan.Node) []tool {
			c.keyFile(n)
			return []tool{cryptsetup()}
		},
		tools: func(*collector, *plan.Node) []tool { return []tool{cryptsetup()} },
	}
}

// cryptsetup derives keys in threads, whose end needs libgcc_s, which nothing names as a dependency.
func cryptsetup() tool {
	return tool{name: "cryptsetup", pkg: "cryptsetup-bin", why: "opens encrypted containers", dlopen: []string{"libgcc_s.so.1"}}
}

// cryptoModules are the mapping, the ciphers and hashes of a container, and the sockets through which cryptsetup uses the
// kernel's ciphers. Any of them may be built in, or known by another name.
func cryptoModules(n *plan.Node) []wanted {
	why := "encrypted container " + n.LUKS.Name
	out := []wanted{{"dm_mod", why, false}, {"dm_crypt", why, false}}
	for _, m := range n.LUKS.Modules {
		out = append(out, wanted{m, why, true}, wanted{"crypto-" + m, why, true})
	}
	for _, m := range []string{"ecb", "cryptd", "crypto_simd", "aesni_intel", "aes_generic", "af_alg", "algif_skcipher", "algif_hash"} {
		out = append(out, wanted{m, why, true})
	}
	return out
}

// maxKeyFile is cryptsetup's own limit (--keyfile-size, DEFAULT_KEYFILE_SIZE_MAXKB).
const maxKeyFile = 8 << 20

// keyFile puts in the key file of a container, where the plan says so.
func (c *collector) keyFile(n *plan.Node) {
	if n.LUKS.KeyFile == "" {
		return
	}
	data, err := c.host.read(n.LUKS.KeyFile, maxKeyFile, false)
	if err != nil {
		c.refuse("key file %s of %s: %w", n.LUKS.KeyFile, n.LUKS.Name, cause(err))
		return
	}
	c.file(path.Join(KeyDir, n.Ref.ID()), 0o400, data, "key file of "+n.LUKS.Name)
}
