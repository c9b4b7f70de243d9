// Package image builds the initramfs of a migration from a plan and the files of the host, and reads back whose plan an
// image carries. It looks and packs: it runs nothing, mounts nothing, and takes every byte from [Input].
//
// In an image are: this program as /init; [Marker], which is one of the guards of switch_root; the plan at [PlanPath];
// the kernel modules that the plan needs for its one kernel, unpacked, with tables cut down to them; the firmware these
// name; the programs that make and check the planned filesystems, with their libraries; directories to mount on; and
// the three device nodes that a kernel without devtmpfs needs for a first message.
//
// Collect either gives a complete image or says everything that is in the way at once: each line of its error is one
// refusal, with what was looked for, where, and the command that fixes it. What may be missing without stopping the
// migration (firmware of other models of a controller) is in Image.Warnings.
//
// The same inputs give the same bytes: no clock, owner 0:0, normalised modes, one modification time (that of the plan),
// sorted names. All bodies are held in memory between Collect and Write, so that what List says is what Write writes.
//
// Caveats. The host is trusted here (it is root's own), bounds only protect against accidents. What a program opens by
// dlopen is not seen. A file of /run/modprobe.d is not taken, as it would not survive the reboot either.
package image
