package fanout

import pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"

// ToSubscribe sends events as messages of Subscribe.
func ToSubscribe(send func(*pubsubv1.SubscribeResponse) error) func(Event) error {
	return func(e Event) error {
		switch {
		case e.Subscribed != nil:
			return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Subscribed{Subscribed: e.Subscribed}})
		case e.Missed != nil:
			return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Missed{Missed: e.Missed}})
		}
		return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Message{Message: e.Message}})
	}
}

// ToPattern sends events as messages of SubscribePattern.
func ToPattern(send func(*pubsubv1.SubscribePatternResponse) error) func(Event) error {
	return func(e Event) error {
		switch {
		case e.Subscribed != nil:
			return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Subscribed{Subscribed: e.Subscribed}})
		case e.Missed != nil:
			return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Missed{Missed: e.Missed}})
		}
		return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Message{Message: e.Message}})
	}
}

// ToFiltered sends events as messages of SubscribeFiltered.
func ToFiltered(send func(*pubsubv1.SubscribeFilteredResponse) error) func(Event) error {
	return func(e Event) error {
		switch {
		case e.Subscribed != nil:
			return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Subscribed{Subscribed: e.Subscribed}})
		case e.Missed != nil:
			return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Missed{Missed: e.Missed}})
		}
		return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Message{Message: e.Message}})
	}
}

// ToOrdered sends events as messages of SubscribeOrdered.
func ToOrdered(send func(*pubsubv1.SubscribeOrderedResponse) error) func(Event) error {
	return func(e Event) error {
		switch {
		case e.Subscribed != nil:
			return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Subscribed{Subscribed: e.Subscribed}})
		case e.Missed != nil:
			return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Missed{Missed: e.Missed}})
		}
		message := &pubsubv1.OrderedMessage{Message: e.Message, ResumeId: e.Resume}
		return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Message{Message: message}})
	}
}
