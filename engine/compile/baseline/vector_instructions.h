// The machine's vector instructions that the compiler uses, each in its SSE and its AVX form.
#ifndef WASMD_ENGINE_COMPILE_BASELINE_VECTOR_INSTRUCTIONS_H_
#define WASMD_ENGINE_COMPILE_BASELINE_VECTOR_INSTRUCTIONS_H_

#include "engine/compile/baseline/assembler.h"

namespace wasmd::engine::baseline {

using VectorOp = Assembler::FloatOp;

inline constexpr VectorOp kNoVectorOp = {Inst::kIdNone, Inst::kIdNone, false};

// They commute.
inline constexpr VectorOp kPcmpeqb = {Inst::kIdPcmpeqb, Inst::kIdVpcmpeqb, true};
inline constexpr VectorOp kPcmpeqw = {Inst::kIdPcmpeqw, Inst::kIdVpcmpeqw, true};
inline constexpr VectorOp kPcmpeqd = {Inst::kIdPcmpeqd, Inst::kIdVpcmpeqd, true};
inline constexpr VectorOp kPcmpeqq = {Inst::kIdPcmpeqq, Inst::kIdVpcmpeqq, true};
inline constexpr VectorOp kPand = {Inst::kIdPand, Inst::kIdVpand, true};
inline constexpr VectorOp kPor = {Inst::kIdPor, Inst::kIdVpor, true};
inline constexpr VectorOp kPxor = {Inst::kIdPxor, Inst::kIdVpxor, true};
inline constexpr VectorOp kPaddb = {Inst::kIdPaddb, Inst::kIdVpaddb, true};
inline constexpr VectorOp kPaddw = {Inst::kIdPaddw, Inst::kIdVpaddw, true};
inline constexpr VectorOp kPaddd = {Inst::kIdPaddd, Inst::kIdVpaddd, true};
inline constexpr VectorOp kPaddq = {Inst::kIdPaddq, Inst::kIdVpaddq, true};
inline constexpr VectorOp kPaddsb = {Inst::kIdPaddsb, Inst::kIdVpaddsb, true};
inline constexpr VectorOp kPaddsw = {Inst::kIdPaddsw, Inst::kIdVpaddsw, true};
inline constexpr VectorOp kPaddusb = {Inst::kIdPaddusb, Inst::kIdVpaddusb, true};
inline constexpr VectorOp kPaddusw = {Inst::kIdPaddusw, Inst::kIdVpaddusw, true};
inline constexpr VectorOp kPminsb = {Inst::kIdPminsb, Inst::kIdVpminsb, true};
inline constexpr VectorOp kPminub = {Inst::kIdPminub, Inst::kIdVpminub, true};
inline constexpr VectorOp kPmaxsb = {Inst::kIdPmaxsb, Inst::kIdVpmaxsb, true};
inline constexpr VectorOp kPmaxub = {Inst::kIdPmaxub, Inst::kIdVpmaxub, true};
inline constexpr VectorOp kPminsw = {Inst::kIdPminsw, Inst::kIdVpminsw, true};
inline constexpr VectorOp kPminuw = {Inst::kIdPminuw, Inst::kIdVpminuw, true};
inline constexpr VectorOp kPmaxsw = {Inst::kIdPmaxsw, Inst::kIdVpmaxsw, true};
inline constexpr VectorOp kPmaxuw = {Inst::kIdPmaxuw, Inst::kIdVpmaxuw, true};
inline constexpr VectorOp kPminsd = {Inst::kIdPminsd, Inst::kIdVpminsd, true};
inline constexpr VectorOp kPminud = {Inst::kIdPminud, Inst::kIdVpminud, true};
inline constexpr VectorOp kPmaxsd = {Inst::kIdPmaxsd, Inst::kIdVpmaxsd, true};
inline constexpr VectorOp kPmaxud = {Inst::kIdPmaxud, Inst::kIdVpmaxud, true};
inline constexpr VectorOp kPavgb = {Inst::kIdPavgb, Inst::kIdVpavgb, true};
inline constexpr VectorOp kPavgw = {Inst::kIdPavgw, Inst::kIdVpavgw, true};
inline constexpr VectorOp kPmullw = {Inst::kIdPmullw, Inst::kIdVpmullw, true};
inline constexpr VectorOp kPmulld = {Inst::kIdPmulld, Inst::kIdVpmulld, true};
inline constexpr VectorOp kPmaddwd = {Inst::kIdPmaddwd, Inst::kIdVpmaddwd, true};
inline constexpr VectorOp kPmulhw = {Inst::kIdPmulhw, Inst::kIdVpmulhw, true};
inline constexpr VectorOp kPmulhuw = {Inst::kIdPmulhuw, Inst::kIdVpmulhuw, true};
inline constexpr VectorOp kPmuludq = {Inst::kIdPmuludq, Inst::kIdVpmuludq, true};
inline constexpr VectorOp kPmuldq = {Inst::kIdPmuldq, Inst::kIdVpmuldq, true};
inline constexpr VectorOp kPmulhrsw = {Inst::kIdPmulhrsw, Inst::kIdVpmulhrsw, true};
inline constexpr VectorOp kAddps = {Inst::kIdAddps, Inst::kIdVaddps, true};
inline constexpr VectorOp kMulps = {Inst::kIdMulps, Inst::kIdVmulps, true};
inline constexpr VectorOp kAddpd = {Inst::kIdAddpd, Inst::kIdVaddpd, true};
inline constexpr VectorOp kMulpd = {Inst::kIdMulpd, Inst::kIdVmulpd, true};
inline constexpr VectorOp kAndps = {Inst::kIdAndps, Inst::kIdVandps, true};
inline constexpr VectorOp kOrps = {Inst::kIdOrps, Inst::kIdVorps, true};
inline constexpr VectorOp kXorps = {Inst::kIdXorps, Inst::kIdVxorps, true};
inline constexpr VectorOp kAndpd = {Inst::kIdAndpd, Inst::kIdVandpd, true};
inline constexpr VectorOp kOrpd = {Inst::kIdOrpd, Inst::kIdVorpd, true};
inline constexpr VectorOp kXorpd = {Inst::kIdXorpd, Inst::kIdVxorpd, true};

// They do not.
inline constexpr VectorOp kPcmpgtb = {Inst::kIdPcmpgtb, Inst::kIdVpcmpgtb, false};
inline constexpr VectorOp kPcmpgtw = {Inst::kIdPcmpgtw, Inst::kIdVpcmpgtw, false};
inline constexpr VectorOp kPcmpgtd = {Inst::kIdPcmpgtd, Inst::kIdVpcmpgtd, false};
inline constexpr VectorOp kPcmpgtq = {Inst::kIdPcmpgtq, Inst::kIdVpcmpgtq, false};
inline constexpr VectorOp kPandn = {Inst::kIdPandn, Inst::kIdVpandn, false};
inline constexpr VectorOp kPsubb = {Inst::kIdPsubb, Inst::kIdVpsubb, false};
inline constexpr VectorOp kPsubw = {Inst::kIdPsubw, Inst::kIdVpsubw, false};
inline constexpr VectorOp kPsubd = {Inst::kIdPsubd, Inst::kIdVpsubd, false};
inline constexpr VectorOp kPsubq = {Inst::kIdPsubq, Inst::kIdVpsubq, false};
inline constexpr VectorOp kPsubsb = {Inst::kIdPsubsb, Inst::kIdVpsubsb, false};
inline constexpr VectorOp kPsubsw = {Inst::kIdPsubsw, Inst::kIdVpsubsw, false};
inline constexpr VectorOp kPsubusb = {Inst::kIdPsubusb, Inst::kIdVpsubusb, false};
inline constexpr VectorOp kPsubusw = {Inst::kIdPsubusw, Inst::kIdVpsubusw, false};
inline constexpr VectorOp kPacksswb = {Inst::kIdPacksswb, Inst::kIdVpacksswb, false};
inline constexpr VectorOp kPackuswb = {Inst::kIdPackuswb, Inst::kIdVpackuswb, false};
inline constexpr VectorOp kPackssdw = {Inst::kIdPackssdw, Inst::kIdVpackssdw, false};
inline constexpr VectorOp kPackusdw = {Inst::kIdPackusdw, Inst::kIdVpackusdw, false};
inline constexpr VectorOp kSubps = {Inst::kIdSubps, Inst::kIdVsubps, false};
inline constexpr VectorOp kDivps = {Inst::kIdDivps, Inst::kIdVdivps, false};
inline constexpr VectorOp kSubpd = {Inst::kIdSubpd, Inst::kIdVsubpd, false};
inline constexpr VectorOp kDivpd = {Inst::kIdDivpd, Inst::kIdVdivpd, false};
inline constexpr VectorOp kMinps = {Inst::kIdMinps, Inst::kIdVminps, false};
inline constexpr VectorOp kMaxps = {Inst::kIdMaxps, Inst::kIdVmaxps, false};
inline constexpr VectorOp kMinpd = {Inst::kIdMinpd, Inst::kIdVminpd, false};
inline constexpr VectorOp kMaxpd = {Inst::kIdMaxpd, Inst::kIdVmaxpd, false};
inline constexpr VectorOp kAndnps = {Inst::kIdAndnps, Inst::kIdVandnps, false};
inline constexpr VectorOp kCmpps = {Inst::kIdCmpps, Inst::kIdVcmpps, false};
inline constexpr VectorOp kCmppd = {Inst::kIdCmppd, Inst::kIdVcmppd, false};
inline constexpr VectorOp kPshufb = {Inst::kIdPshufb, Inst::kIdVpshufb, false};
inline constexpr VectorOp kPmaddubsw = {Inst::kIdPmaddubsw, Inst::kIdVpmaddubsw, false};
inline constexpr VectorOp kPunpcklbw = {Inst::kIdPunpcklbw, Inst::kIdVpunpcklbw, false};
inline constexpr VectorOp kPunpckhbw = {Inst::kIdPunpckhbw, Inst::kIdVpunpckhbw, false};
inline constexpr VectorOp kPunpcklwd = {Inst::kIdPunpcklwd, Inst::kIdVpunpcklwd, false};
inline constexpr VectorOp kPunpckhwd = {Inst::kIdPunpckhwd, Inst::kIdVpunpckhwd, false};
inline constexpr VectorOp kPunpckldq = {Inst::kIdPunpckldq, Inst::kIdVpunpckldq, false};
inline constexpr VectorOp kPunpckhdq = {Inst::kIdPunpckhdq, Inst::kIdVpunpckhdq, false};
inline constexpr VectorOp kPunpcklqdq = {Inst::kIdPunpcklqdq, Inst::kIdVpunpcklqdq, false};
inline constexpr VectorOp kPunpckhqdq = {Inst::kIdPunpckhqdq, Inst::kIdVpunpckhqdq, false};
inline constexpr VectorOp kPshufd = {Inst::kIdPshufd, Inst::kIdVpshufd, false};
inline constexpr VectorOp kPshuflw = {Inst::kIdPshuflw, Inst::kIdVpshuflw, false};
inline constexpr VectorOp kPshufhw = {Inst::kIdPshufhw, Inst::kIdVpshufhw, false};
inline constexpr VectorOp kShufps = {Inst::kIdShufps, Inst::kIdVshufps, false};
inline constexpr VectorOp kPalignr = {Inst::kIdPalignr, Inst::kIdVpalignr, false};
inline constexpr VectorOp kPblendw = {Inst::kIdPblendw, Inst::kIdVpblendw, false};
inline constexpr VectorOp kRoundps = {Inst::kIdRoundps, Inst::kIdVroundps, false};
inline constexpr VectorOp kRoundpd = {Inst::kIdRoundpd, Inst::kIdVroundpd, false};
inline constexpr VectorOp kPsllw = {Inst::kIdPsllw, Inst::kIdVpsllw, false};
inline constexpr VectorOp kPslld = {Inst::kIdPslld, Inst::kIdVpslld, false};
inline constexpr VectorOp kPsllq = {Inst::kIdPsllq, Inst::kIdVpsllq, false};
inline constexpr VectorOp kPsraw = {Inst::kIdPsraw, Inst::kIdVpsraw, false};
inline constexpr VectorOp kPsrad = {Inst::kIdPsrad, Inst::kIdVpsrad, false};
inline constexpr VectorOp kPsrlw = {Inst::kIdPsrlw, Inst::kIdVpsrlw, false};
inline constexpr VectorOp kPsrld = {Inst::kIdPsrld, Inst::kIdVpsrld, false};
inline constexpr VectorOp kPsrlq = {Inst::kIdPsrlq, Inst::kIdVpsrlq, false};

// Of one operand.
inline constexpr VectorOp kPabsb = {Inst::kIdPabsb, Inst::kIdVpabsb, false};
inline constexpr VectorOp kPabsw = {Inst::kIdPabsw, Inst::kIdVpabsw, false};
inline constexpr VectorOp kPabsd = {Inst::kIdPabsd, Inst::kIdVpabsd, false};
inline constexpr VectorOp kPmovsxbw = {Inst::kIdPmovsxbw, Inst::kIdVpmovsxbw, false};
inline constexpr VectorOp kPmovsxwd = {Inst::kIdPmovsxwd, Inst::kIdVpmovsxwd, false};
inline constexpr VectorOp kPmovsxdq = {Inst::kIdPmovsxdq, Inst::kIdVpmovsxdq, false};
inline constexpr VectorOp kPmovzxbw = {Inst::kIdPmovzxbw, Inst::kIdVpmovzxbw, false};
inline constexpr VectorOp kPmovzxwd = {Inst::kIdPmovzxwd, Inst::kIdVpmovzxwd, false};
inline constexpr VectorOp kPmovzxdq = {Inst::kIdPmovzxdq, Inst::kIdVpmovzxdq, false};
inline constexpr VectorOp kSqrtps = {Inst::kIdSqrtps, Inst::kIdVsqrtps, false};
inline constexpr VectorOp kSqrtpd = {Inst::kIdSqrtpd, Inst::kIdVsqrtpd, false};
inline constexpr VectorOp kCvtdq2ps = {Inst::kIdCvtdq2ps, Inst::kIdVcvtdq2ps, false};
inline constexpr VectorOp kCvtdq2pd = {Inst::kIdCvtdq2pd, Inst::kIdVcvtdq2pd, false};
inline constexpr VectorOp kCvttps2dq = {Inst::kIdCvttps2dq, Inst::kIdVcvttps2dq, false};
inline constexpr VectorOp kCvttpd2dq = {Inst::kIdCvttpd2dq, Inst::kIdVcvttpd2dq, false};
inline constexpr VectorOp kCvtps2pd = {Inst::kIdCvtps2pd, Inst::kIdVcvtps2pd, false};
inline constexpr VectorOp kCvtpd2ps = {Inst::kIdCvtpd2ps, Inst::kIdVcvtpd2ps, false};
inline constexpr VectorOp kMovddup = {Inst::kIdMovddup, Inst::kIdVmovddup, false};

}  // namespace wasmd::engine::baseline

#endif  // WASMD_ENGINE_COMPILE_BASELINE_VECTOR_INSTRUCTIONS_H_
