package redis

import _ "embed" // the scripts

// The texts of the queue scripts. The first is put before each of the others.
var (
	//go:embed lua/queue.lua
	queueText string
	//go:embed lua/queue_enqueue.lua
	queueEnqueueText string
	//go:embed lua/queue_take.lua
	queueTakeText string
	//go:embed lua/queue_back.lua
	queueBackText string
	//go:embed lua/queue_lease.lua
	queueLeaseText string
	//go:embed lua/queue_scheduled.lua
	queueScheduledText string
	//go:embed lua/queue_configure.lua
	queueConfigureText string
	//go:embed lua/queue_letters.lua
	queueLettersText string
	//go:embed lua/queue_redrive.lua
	queueRedriveText string
)

// The queue scripts.
var (
	queueEnqueue   = newScript(queueText + queueEnqueueText)
	queueTake      = newScript(queueText + queueTakeText)
	queueBack      = newScript(queueText + queueBackText)
	queueLease     = newScript(queueText + queueLeaseText)
	queueScheduled = newScript(queueText + queueScheduledText)
	queueConfigure = newScript(queueText + queueConfigureText)
	queueLetters   = newScript(queueText + queueLettersText)
	queueRedrive   = newScript(queueText + queueRedriveText)
)
