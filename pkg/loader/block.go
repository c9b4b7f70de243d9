package loader

import (
	"io"

	"migrate-init/pkg/machine"
	"migrate-init/pkg/plan"
)

// Block is what the block on the target says. It is of the boot loader's form, and starts a migration once, wherever the
// boot loader cannot note that itself, or again after a power cut.
type Block struct {
	Armed   bool // the next boot starts the migration
	Attempt int  // how often it was started in a row
	Whole   bool // when it is read: there is a block of this plan, and everything around it is as it was made
}

// BlockSpeller is the columns of a row that keeps such a block. r and the chunks are of the partition that is made for it.
type BlockSpeller struct {
	// Read reads it. What is no block of the plan is the zero Block; an error is one of reading.
	Read func(p *plan.Plan, r io.ReaderAt) (Block, error)
	// Write writes it. Where it is not Whole everything around it is made, too. Between any two sectors that are written
	// the boot loader finds the old block, none, or the new one.
	Write func(p *plan.Plan, b Block) ([]machine.Chunk, error)
}
