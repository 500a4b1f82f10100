package detect

import (
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/finding"
	"github.com/haechi-dev/haechi/word/record"
)

// A Scan looks at records without a server: it keeps what it saw in memory and
// answers with the findings at the end.
type Scan struct {
	engine *engine
	state  *state
}

// NewScan makes a Scan with these rules; findings belong to maker's account and
// region where the records do not say theirs.
func NewScan(files []sigma.File, maker finding.Maker) (*Scan, error) {
	e, err := newEngine(sigma.Rules(files), maker)
	if err != nil {
		return nil, err
	}
	return &Scan{e, newState()}, nil
}

// Observe looks at one record; the error says why it cannot be read.
func (s *Scan) Observe(r record.Record) error {
	hits, err := s.engine.look(r)
	for _, h := range hits {
		s.state.apply(s.engine, h)
	}
	return err
}

// Findings is what was found, in the order it was.
func (s *Scan) Findings() (all []finding.Finding) {
	for _, id := range s.state.raised {
		all = append(all, s.state.finding(s.engine, id))
	}
	return all
}
