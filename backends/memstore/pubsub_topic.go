package memstore

import "sync"

// topic is one topic of a namespace, there as long as somebody listens to it or it keeps something.
type topic struct {
	name string

	mu      sync.RWMutex
	freed   bool    // it is not in the namespace any more
	members members // the live subscriptions, but for those by pattern
	// ordered and persistent hold the messages that are kept; nil until there are any, or somebody waits for them.
	ordered, persistent *keptLog
	durables            map[string]*durable
}

// find returns a topic, or nil.
func (p *pubSub) find(name string) *topic {
	if found, ok := p.topics.Load(name); ok {
		return found.(*topic)
	}
	return nil
}

// lock returns a topic, made if it is not there, with its write lock held. The caller must unlock it by unlock.
func (p *pubSub) lock(name string) *topic {
	for {
		t := p.find(name)
		if t == nil {
			stored, _ := p.topics.LoadOrStore(name, &topic{name: name})
			t = stored.(*topic)
		}
		t.mu.Lock()
		if !t.freed {
			return t
		}
		t.mu.Unlock() // it was freed meanwhile, and a new one can be made
	}
}

// unlock gives the write lock of a topic back, and frees the topic when nothing is left of it.
func (p *pubSub) unlock(t *topic) {
	if !t.freed && t.empty() {
		t.freed = true
		p.topics.Delete(t.name)
	}
	t.mu.Unlock()
}

func (t *topic) empty() bool {
	return len(t.members) == 0 && len(t.durables) == 0 && t.ordered.len() == 0 && t.persistent.len() == 0
}

// members are live subscriptions that hear of the same messages. Each knows its place, so that it leaves without a search.
type members []*subscription

func (m *members) add(s *subscription) {
	s.index = len(*m)
	*m = append(*m, s)
}

func (m *members) remove(s *subscription) {
	last := len(*m) - 1
	(*m)[s.index] = (*m)[last]
	(*m)[s.index].index = s.index
	(*m)[last] = nil
	*m = (*m)[:last]
	if last == 0 {
		*m = nil
	}
}
