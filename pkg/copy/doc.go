// Package copy copies whole filesystems with one of two engines: pkg/tree (file by file) and pkg/extent (used blocks).
// It knows neither plans nor journals. It has two callers: the stages of a migration, and the command `migrate-init copy`.
//
// Contract:
//   - A [Job] names a source, a target and an engine. Precheck reports what the target will not keep, Copy copies and syncs,
//     Verify reads the target back from its disk and compares, and Finalize returns the effects that give a verified copy
//     its own identity.
//   - A block copy is not recognizable as a filesystem before Finalize: the first 4096 bytes of the target are held back, so
//     that two filesystems never have the same UUID at the same time.
//   - An interrupted copy resumes from its last checkpoint (Job.Resume). Checkpoints are written to two slots in turn
//     ([Slots]), so that a torn write leaves the previous one. A checkpoint is only valid for the same copy and the same
//     state of the source ([Checkpoints.Attach]): a mixture of two states is not a copy.
//   - The caller decides where the slots are: at the end of the journal of a migration, in a file in the root of the target
//     for [Dir], in the first bytes of the target for [Device].
package copy
