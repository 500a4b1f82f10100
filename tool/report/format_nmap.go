package report

import (
	"regexp"
	"sync"

	"github.com/haechi-dev/haechi/word/finding"
)

func nmapFormat() format {
	return format{name: "nmap-xml", tool: "nmap", is: func(d *doc) bool { return d.xmlRoot("nmaprun") }, read: func(r *reading) error {
		r.told.Version = r.attrs.text("@version")
		finished := false
		if err := r.each("runstats/finished", func(_ []string, n node) error {
			finished = n.text("@exit") == "" || n.text("@exit") == "success"
			return nil
		}); err != nil {
			return err
		}
		if !finished {
			r.partial("it does not say that nmap finished")
		}
		return r.each("host", func(_ []string, host node) error {
			address := firstOf(host.list("address")).text("@addr")
			name := or(firstOf(host.list("hostnames", "hostname")).text("@name"), address)
			for _, p := range host.list("ports", "port") {
				state := firstOf(p.list("state")).text("@state")
				if state != "open" {
					r.passed()
					continue
				}
				service := firstOf(p.list("service"))
				port := p.text("@portid") + "/" + p.text("@protocol")
				rec := record{
					rule: "open-port", title: "Port " + port + " is open",
					text:     joined(" ", "Port "+port+" is open:", service.text("@name"), service.text("@product"), service.text("@version"), service.text("@extrainfo")),
					severity: state, label: finding.Informational, resource: name, key: []string{port}, tie: []string{},
					fields: map[string]string{"port": port, "address": address, "service": service.text("@name")},
					types:  "Software and Configuration Checks/Vulnerabilities",
				}
				if err := r.add(rec); err != nil {
					return err
				}
				if err := r.addVulners(p, name, port, service); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

var vulnersLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(CVE-[0-9]{4}-[0-9]+)\s+([0-9.]+)\s+(https?://\S+)`) })

// addVulners takes what the script vulners says of a port's service.
func (r *reading) addVulners(port node, host, name string, service node) error {
	for _, s := range port.list("script") {
		if s.text("@id") != "vulners" {
			continue
		}
		for _, m := range vulnersLine().FindAllStringSubmatch(s.text("@output"), 1000) {
			score, _ := node{m[2]}.number()
			if err := r.add(record{
				rule: "vulners", vulnerability: m[1], pkg: or(service.text("@product"), service.text("@name")),
				installed: service.text("@version"), title: m[1] + " in " + or(service.text("@product"), service.text("@name")), score: score,
				severity: m[2], resource: host, key: []string{name}, url: m[3],
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
