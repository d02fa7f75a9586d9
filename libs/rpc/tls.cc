#include "rpc/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/status.h"

namespace millrace::rpc {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* p) const {
    kFree(p);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

constexpr long kTenYearsDays = 3652;

std::string LastError() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

Bio Reader(const std::string& pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

bool IsIpAddress(const std::string& name) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 || inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

bool AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetRandomSerial(X509* certificate) {
  const Number serial(BN_new());
  return serial != nullptr && BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetNames(X509* certificate, const std::vector<std::string>& names) {
  // Clients look at the alternative names. The common name is another one in each certificate, so a client that trusts
  // several of them in one file can tell them apart.
  const std::string common = absl::StrCat("millrace ", base::HexUpper(base::RandomBytes(8)));
  X509_NAME* subject = X509_get_subject_name(certificate);
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.data()),
                                 static_cast<int>(common.size()), -1, 0) != 1 ||
      X509_set_issuer_name(certificate, subject) != 1) {
    return false;
  }
  const std::string alternatives = absl::StrJoin(names, ",", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, IsIpAddress(name) ? "IP:" : "DNS:", name);
  });
  return AddExtension(certificate, NID_subject_alt_name, alternatives);
}

// A little in the past, so that a client whose clock is behind accepts it.
bool SetValidity(X509* certificate) {
  return X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), kTenYearsDays, 0, nullptr) != nullptr;
}

Certificate Sign(EVP_PKEY* key, const std::vector<std::string>& names) {
  Certificate certificate(X509_new());
  constexpr long kVersion3 = 2;
  if (certificate == nullptr || X509_set_version(certificate.get(), kVersion3) != 1 ||
      !SetRandomSerial(certificate.get()) || !SetValidity(certificate.get()) || !SetNames(certificate.get(), names) ||
      // An authority of its own, so that a client can be given it as the root to trust.
      !AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE") ||
      !AddExtension(certificate.get(), NID_key_usage, "critical,digitalSignature,keyCertSign") ||
      !AddExtension(certificate.get(), NID_ext_key_usage, "serverAuth") ||
      X509_set_pubkey(certificate.get(), key) != 1 || X509_sign(certificate.get(), key, EVP_sha256()) == 0) {
    return nullptr;
  }
  return certificate;
}

// The names go into OpenSSL's own little language, where a comma starts the next one.
absl::Status CheckNames(const std::vector<std::string>& names) {
  if (names.empty()) return absl::InvalidArgumentError("a certificate needs at least one DNS name or IP address");
  for (const std::string& name : names) {
    const bool legal = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:") ==
                       std::string::npos;
    if (name.empty() || !legal || (name.find(':') != std::string::npos && !IsIpAddress(name))) {
      return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is neither a DNS name nor an IP address"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckIdentity(const TlsIdentity& identity) {
  const Bio chain = Reader(identity.certificate_chain);
  const Certificate certificate(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the TLS certificate is no PEM certificate: ", LastError()));
  }
  const Bio secret = Reader(identity.private_key);
  // Without a callback OpenSSL would ask for the passphrase of an encrypted key on the terminal.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const Key key(PEM_read_bio_PrivateKey(secret.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the TLS private key is no unencrypted PEM private key: ", LastError()));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the TLS private key does not belong to the first certificate of the chain");
  }
  return absl::OkStatus();
}

absl::StatusOr<TlsIdentity> MakeSelfSignedIdentity(const std::vector<std::string>& names) {
  MR_RETURN_IF_ERROR(CheckNames(names));
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return absl::InternalError(absl::StrCat("cannot make a key: ", LastError()));
  const Certificate certificate = Sign(key.get(), names);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot make a certificate for \"", absl::StrJoin(names, ", "), "\": ", LastError()));
  }
  const Bio chain(BIO_new(BIO_s_mem()));
  const Bio secret(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(chain.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return absl::InternalError(absl::StrCat("cannot write the certificate: ", LastError()));
  }
  return TlsIdentity{.certificate_chain = Text(chain.get()), .private_key = Text(secret.get())};
}

}  // namespace millrace::rpc
