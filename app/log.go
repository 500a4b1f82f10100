package app

import (
	"io"
	"log"
	"log/slog"
)

// NewLog is a log on w at the level that c says: lines for people.
func (c *Config) NewLog(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
}

// logger is for what net/http has to say, which is rarely of interest.
func logger(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
