export { createAuthority, type Issued, issueHost, issueOperator, type Validity } from "./authority.ts";
export { type CertificateDescription, describeCertificate } from "./describe.ts";
export {
  initAuthority,
  issueHostFiles,
  issueOperatorFiles,
  type WriteOptions,
  type WrittenFiles,
} from "./files.ts";
