package loader

import (
	"errors"
	"strings"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// grubMakeScript prints the menu that update-grub would write. The mounts are seen by no one else: scripts of grub.d cannot
// write (that of Debian's theme copies pictures into /boot), and os-prober is hidden from them. It mounts the filesystems of
// other partitions, and the new system's menu is made without it.
const grubMakeScript = `set -e
mount -o remount,bind,ro /
if mountpoint -q /boot; then mount -o remount,bind,ro /boot; fi
mount -t tmpfs tmpfs /tmp
if p=$(command -v os-prober); then mount --bind /dev/null "$p"; fi
exec grub-mkconfig`

// grubMake runs GRUB's own programs over the settings, and lets GRUB judge what comes out. A nil menu comes with the reason.
func grubMake(in plan.Installed) ([]byte, plan.Findings) {
	const id = "boot-menu.made"
	b, err := in.Run(nil, "unshare", "--mount", "--propagation", "private", "sh", "-c", grubMakeScript)
	if err != nil && strings.Contains(err.Error(), "Read-only file system") {
		x := plan.Warning("grub-mkconfig", "look for a script in /etc/grub.d that writes files", "a script writes, which check does not let it, so today's grub.cfg was read in place of the next one: %s", grubWords(err))
		x.ID = id
		return nil, plan.Findings{x}
	}
	if err != nil {
		x := plan.Refusal("grub-mkconfig", "correct /etc/default/grub, or the script of /etc/grub.d that fails, until `update-grub` succeeds", "it fails, and so would the migration: %s", grubWords(err))
		x.ID = id
		return nil, plan.Findings{x}
	}
	if _, err := in.Run(b, "grub-script-check"); err != nil {
		x := plan.Refusal("grub-mkconfig", "correct what /etc/default/grub or a script of /etc/grub.d writes there, until `update-grub` succeeds", "GRUB cannot read the menu that it makes: %s", grubWords(err))
		x.ID = id
		return nil, plan.Findings{x}
	}
	return b, nil
}

// grubWords are a failed program's own.
func grubWords(err error) string {
	var failed *machine.ExecError
	if errors.As(err, &failed) {
		short := *failed
		short.Argv = nil
		return short.Error()
	}
	return err.Error()
}
