package redis

import _ "embed" // the scripts

// The texts of the PubSub scripts. The first is put before each of the others.
var (
	//go:embed lua/pubsub.lua
	pubsubText string
	//go:embed lua/pubsub_keep.lua
	pubsubKeepText string
	//go:embed lua/pubsub_publish.lua
	pubsubPublishText string
	//go:embed lua/pubsub_last.lua
	pubsubLastText string
	//go:embed lua/pubsub_place.lua
	pubsubPlaceText string
	//go:embed lua/pubsub_read.lua
	pubsubReadText string
	//go:embed lua/pubsub_subscribe.lua
	pubsubSubscribeText string
	//go:embed lua/pubsub_take.lua
	pubsubTakeText string
	//go:embed lua/pubsub_end.lua
	pubsubEndText string
	//go:embed lua/pubsub_acknowledge.lua
	pubsubAcknowledgeText string
)

// The PubSub scripts.
var (
	pubsubKeep        = newScript(pubsubText + pubsubKeepText)
	pubsubPublish     = newScript(pubsubPublishText)
	pubsubLast        = newScript(pubsubText + pubsubLastText)
	pubsubPlace       = newScript(pubsubText + pubsubPlaceText)
	pubsubRead        = newScript(pubsubText + pubsubReadText)
	pubsubSubscribe   = newScript(pubsubText + pubsubSubscribeText)
	pubsubTake        = newScript(pubsubText + pubsubTakeText)
	pubsubEnd         = newScript(pubsubText + pubsubEndText)
	pubsubAcknowledge = newScript(pubsubText + pubsubAcknowledgeText)
)
