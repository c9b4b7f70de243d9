package loader

import "migrate-init/pkg/plan"

// grubQuestions are those of a system that GRUB boots.
func grubQuestions() []plan.Question {
	const live = plan.Planning | plan.Live
	return []plan.Question{
		{ID: "boot-menu.default", When: live | plan.Proving, Ask: grubAskMenu},
		{ID: "boot-loader.new-modules", When: plan.Proving, Ask: grubAskModules},
		{ID: "boot-loader.modules", When: live, Ask: grubAskOldModules},
	}
}
