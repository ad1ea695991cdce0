package front

import (
	"bytes"
	"crypto/tls"
	"slices"

	"github.com/prismgate/prism/runtime/config"
)

// CertificateFiles returns the files of certificates, keys and authorities, each once. When one of them changes, [Front.ReloadCertificates] takes it over.
func (f *Front) CertificateFiles() []string {
	var files []string
	for _, p := range f.clients {
		for _, file := range []string{p.files.GetCertFile(), p.files.GetKeyFile(), p.files.GetClientCaFile()} {
			if file != "" && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files
}

// ReloadCertificates reads the certificates, keys and authorities of all listeners again, and secures new connections with them. Connections that there are stay as they
// are. When one of the files cannot be used nothing changes; the log and the metrics tell, and the error is [config.Problems].
//
// A session that was begun before is not resumed afterwards: the keys of its ticket belong to what was replaced, so that a client whose authority is gone cannot come
// back with a ticket.
func (f *Front) ReloadCertificates() error {
	f.reloading.Lock()
	defer f.reloading.Unlock()
	if problems := f.loadCertificates(); len(problems) > 0 {
		f.notReloaded.Add(1)
		f.log.Error("the certificates stay as they were: new ones cannot be used", "error", problems.Error())
		return problems
	}
	f.reloaded.Add(1)
	for _, p := range f.clients {
		if certificate := p.certificate(); certificate != nil {
			f.log.Info("certificate reloaded", "address", p.where(), "end", certificate.NotAfter.UTC())
		}
	}
	f.warnOfEnd()
	return nil
}

// loadCertificates reads all certificates, and uses them when all are good.
func (f *Front) loadCertificates() config.Problems {
	var problems config.Problems
	loaded := make([]*tls.Config, len(f.clients))
	for i, p := range f.clients {
		var failed config.Problems
		loaded[i], failed = p.load()
		problems = append(problems, failed...)
	}
	if len(problems) > 0 {
		return problems
	}
	for i, p := range f.clients {
		if !sameCertificates(p.secured.Load(), loaded[i]) {
			p.secured.Store(loaded[i])
		}
	}
	return nil
}

// sameCertificates tells whether nothing was replaced: then sessions go on being resumed.
func sameCertificates(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Certificates[0].Certificate, b.Certificates[0].Certificate, bytes.Equal) && a.ClientCAs.Equal(b.ClientCAs)
}
